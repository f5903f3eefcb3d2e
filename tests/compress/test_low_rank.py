"""Layers of lower rank: their error, their cost, and what they compute."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.compress.factors import Kernel, Moments, Window, decompose, take_apart
from edgekit.compress.low_rank import Ranks, composed, lower_ranks, observe
from edgekit.compress.opened import open_module
from edgekit.errors import EdgekitError
from edgekit.profile import count
from edgekit.source.graph_module import GraphModule

from .conftest import Attention, Residual, network

SHAPE = (1, 3, 6, 6)
RANDOM = np.random.default_rng(0)


def outputs(model, image):
    with torch.no_grad():
        return GraphModule(model)(image)


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_error_of_a_matrix_is_the_sum_of_the_squared_singular_values_left_out(rank):
    matrix = RANDOM.standard_normal((12, 20))
    singular = np.linalg.svd(matrix, compute_uv=False)
    spectrum = take_apart(matrix)
    second, first = spectrum.factors(rank)
    left = matrix - second @ first
    assert np.isclose(np.square(left).sum(), np.square(singular[rank:]).sum())
    assert np.isclose(spectrum.error(rank), np.square(singular[rank:]).sum())
    assert np.isclose(np.linalg.norm(left, 2), singular[rank])


def test_the_whole_rank_gives_the_matrix_back():
    matrix = RANDOM.standard_normal((9, 14))
    second, first = take_apart(matrix).factors(9)
    assert np.allclose(second @ first, matrix)


def test_weighed_by_the_inputs_no_other_factors_of_that_rank_do_better_and_the_bound_holds():
    matrix = RANDOM.standard_normal((10, 16))
    inputs = RANDOM.standard_normal((500, 16)) * np.linspace(0.05, 3, 16)
    gram = (inputs @ matrix.T).T @ (inputs @ matrix.T) / 500
    weighed, plain = take_apart(matrix, Moments(gram, 0.0)), take_apart(matrix)

    def error(spectrum, rank):
        second, first = spectrum.factors(rank)
        return float(np.square(inputs @ (matrix - second @ first).T).sum() / 500)

    for rank in (2, 4, 6):
        assert np.isclose(error(weighed, rank), weighed.error(rank))
        assert error(weighed, rank) < 0.8 * error(plain, rank)


@pytest.mark.parametrize("kernels", ["channel", "spatial", "tucker"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_at_its_whole_rank_is_the_same_convolution(kernels, stride, image):
    net = nn.Sequential(nn.Conv2d(3, 6, (3, 5), stride, (1, 2))).eval()
    model = open_module(net, SHAPE)
    [node] = [node for node in model.graph if node.op_type == "Conv"]
    from edgekit.compress.low_rank import _replace, candidates  # the largest rank costs more: only here it is used

    [candidate] = list(candidates(model, kernels, {}))
    _replace(candidate, candidate.parts.steps(candidate.parts.most))
    with torch.no_grad():
        assert torch.allclose(outputs(model, image), net(image), atol=1e-4)
    assert node.graph is None


@pytest.mark.parametrize("kernels", ["channel", "spatial", "tucker"])
def test_the_costs_that_ranks_are_chosen_by_are_those_of_the_layers(kernels):
    weight = RANDOM.standard_normal((12, 8, 3, 3))
    kernel = Kernel(weight, Window((3, 3), (1, 1), (1, 1), (1, 1), (6, 6), (6, 6)))
    parts = decompose(kernel, kernels)
    for rank in (1, 4, 8):
        steps = parts.steps(rank)
        assert parts.macs(rank) == sum(step.weight.size * np.prod(step.window.outputs) for step in steps)


def test_less_rank_is_more_error():
    weight = RANDOM.standard_normal((12, 8, 3, 3))
    parts = decompose(Kernel(weight, Window((3, 3))), "tucker")
    errors = [np.square(weight - composed(parts.steps(rank))).sum() for rank in (2, 6, 10, 12)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-9


@pytest.mark.parametrize("kernels", ["channel", "spatial", "tucker"])
def test_a_budget_is_kept_and_the_shapes_stay(kernels, image):
    model = open_module(network([Residual], channels=16), SHAPE)
    smaller, ranks = lower_ranks(model, Ranks(budget=0.6, kernels=kernels), [image.numpy()])
    before, after = (count(GraphModule(each), SHAPE).macs for each in (model, smaller))
    assert 0.4 * before < after <= 0.6 * before
    assert ranks
    assert outputs(smaller, image).shape == outputs(model, image).shape


def test_all_the_energy_changes_nothing_or_leaves_the_layer(image):
    model = open_module(network([Residual, Attention], channels=16), SHAPE)
    smaller, _ = lower_ranks(model, Ranks(energy=1.0, kernels="channel"))
    assert torch.allclose(outputs(smaller, image), outputs(model, image), atol=1e-4)


def test_a_layer_alone_costs_the_outputs_no_more_than_was_asked(image):
    model = open_module(network([Residual], channels=16), SHAPE)
    smaller, ranks = lower_ranks(model, Ranks(sqnr_db=20.0, kernels="channel"), [image.numpy()])
    assert ranks
    for name, rank in ranks.items():
        alone, _ = lower_ranks(model, Ranks(layers={name: rank}, kernels="channel"), [image.numpy()])
        noise = torch.square(outputs(alone, image) - outputs(model, image)).sum()
        assert 10 * torch.log10(torch.square(outputs(model, image)).sum() / noise) > 19.9
    assert count(GraphModule(smaller), SHAPE).macs < count(GraphModule(model), SHAPE).macs


def test_a_rank_that_makes_a_layer_dearer_is_refused_with_the_largest_that_saves():
    model = open_module(network([Residual]), SHAPE)
    with pytest.raises(EdgekitError, match=r"EK106.*at most \d+ saves") as refused:
        lower_ranks(model, Ranks(layers={"1.outer.0": 8}, kernels="channel"))
    worth = int(refused.value.fix.split("at most ")[1].split()[0])
    smaller, _ = lower_ranks(model, Ranks(layers={"1.outer.0": worth}, kernels="channel"))
    assert count(GraphModule(smaller), SHAPE).macs < count(GraphModule(model), SHAPE).macs
    with pytest.raises(EdgekitError, match="EK106"):
        lower_ranks(model, Ranks(layers={"1.outer.0": worth + 1}, kernels="channel"))


def test_a_budget_below_what_rank_one_costs_is_refused():
    with pytest.raises(EdgekitError, match=r"EK106.*--budget 0\.\d+ or more"):
        lower_ranks(open_module(network([Residual]), SHAPE), Ranks(budget=0.001))


def test_the_moments_are_those_of_the_outputs_without_bias(image):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(144, 5)).eval()
    model = open_module(net, SHAPE)
    found = observe(model, [image.numpy()])
    with torch.no_grad():
        seen = net[2](net[1](net[0](image))) - net[2].bias
    [linear] = [node.name for node in model.graph if node.op_type == "Gemm"]
    assert np.allclose(found[linear].outputs, (seen.T @ seen).numpy() / len(image), rtol=1e-4)


def test_a_model_without_such_layers_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.ReLU()).eval()
    with pytest.raises(EdgekitError, match="EK302"):
        lower_ranks(open_module(net, SHAPE), Ranks(energy=0.9))
