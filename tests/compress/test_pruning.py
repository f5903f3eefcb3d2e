"""What is removed, and that the rest computes what it did."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.compress.channels import find_channels
from edgekit.compress.choose import Plan, choose, kept
from edgekit.compress.criteria import CRITERIA, score
from edgekit.compress.finetune import reestimate_batch_norm
from edgekit.compress.opened import open_module
from edgekit.compress.prune import mean_gradients, prune
from edgekit.compress.surgery import mask, remove
from edgekit.errors import EdgekitError
from edgekit.graph.runner import GraphRunner
from edgekit.models.resnet import CifarResNet
from edgekit.profile import count
from edgekit.registry import models
from edgekit.source.graph_module import GraphModule, with_weights_of

from .conftest import BLOCKS, Attention, Depthwise, Grouped, Residual, Shuffled, network

SHAPE = (1, 3, 6, 6)


def outputs(model, image):
    with torch.no_grad():
        return GraphModule(model)(image)


def assert_same_as_masked(net, gone_of, image):
    """Removing bundles gives what silencing them gives, in PyTorch and in ONNX Runtime."""
    model = open_module(net, SHAPE)
    channels = find_channels(model)
    gone = gone_of(channels)
    smaller, silenced = remove(model, channels, gone), mask(model, channels, gone)
    expected = outputs(silenced, image)
    scale = expected.abs().max()
    assert (outputs(smaller, image) - expected).abs().max() <= 1e-5 * scale
    [run] = GraphRunner(smaller)(image.numpy()).values()
    assert np.abs(run - expected.numpy()).max() <= 1e-5 * float(scale)
    if gone:
        assert count(GraphModule(smaller), SHAPE).params < count(GraphModule(model), SHAPE).params


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_without_some_filters_computes_what_it_does_with_them_silenced(block, image):
    def every_third(channels):
        return {bundle for group in channels.groups for bundle in group.bundles[1::3]}

    assert_same_as_masked(network([block]), every_third, image)


@settings(max_examples=15, deadline=None)
@given(
    blocks=st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4),
    ratio=st.floats(0.05, 0.8),
    criterion=st.sampled_from(["l1", "l2", "geometric-median", "batch-norm"]),
    everywhere=st.booleans(),
    seed=st.integers(0, 5),
)
def test_random_networks_compute_what_they_do_with_the_filters_silenced(
    image, blocks, ratio, criterion, everywhere, seed
):
    def chosen(channels):
        model = open_module(net, SHAPE)
        smallest = min(len(group.bundles) for group in channels.groups)
        plan = Plan(min(ratio, 1 - 1 / smallest), everywhere=everywhere)
        return choose(channels, score(model, channels, criterion), plan)

    net = network(blocks, seed=seed)
    assert_same_as_masked(net, chosen, image)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_graph_as_a_module_computes_what_the_module_did(block, image):
    net = network([block])
    module = GraphModule(open_module(net, SHAPE))
    with torch.no_grad():
        assert torch.allclose(module(image), net(image), atol=1e-5)
        assert torch.allclose(module(image[:1]), net(image[:1]), atol=1e-5)
    assert sum(p.numel() for p in module.parameters()) == sum(p.numel() for p in net.parameters())


def test_a_head_of_attention_goes_as_a_whole():
    channels = find_channels(open_module(network([Attention]), SHAPE))
    [heads] = [group for group in channels.groups if group.name == "1.qkv"]
    assert len(heads.bundles) == 4
    assert {layer.module for layer in heads.layers} == {"1.qkv"}


def test_a_residual_sum_ties_its_layers_and_the_inner_width_is_free():
    channels = find_channels(open_module(network([Residual]), SHAPE))
    widths = {group.name: (len(group.bundles), len(group.layers)) for group in channels.groups}
    assert widths["0.0"] == (8, 2)
    assert widths["1.inner.0"] == (11, 1)


def test_a_shuffle_leaves_every_channel_its_own_fate():
    channels = find_channels(open_module(network([Shuffled, Shuffled]), SHAPE))
    assert max(len(group.bundles) for group in channels.groups) >= 8


def test_groups_lose_the_same_places_each():
    model = open_module(network([Grouped]), SHAPE)
    channels = find_channels(model)
    smaller = remove(model, channels, channels.groups[-2].bundles[:1])
    weights = [node.inputs[1] for node in smaller.graph if node.op_type == "Conv"]
    assert all(value.shape[0] % 2 == 0 for value in weights if value is not None)


def vgg16_cifar() -> nn.Module:
    """The pruning paper's VGG-16: arXiv:1608.08710, section 4.1."""
    layers, inputs = [], 3
    for number, outputs_ in enumerate([64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, start=1):
        layers += [nn.Conv2d(inputs, outputs_, 3, padding=1), nn.BatchNorm2d(outputs_), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if number in (2, 4, 7, 10, 13) else []
        inputs = outputs_
    head = [nn.Flatten(), nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 10)]
    return nn.Sequential(*layers, *head).eval()


def resnet_layers(blocks: int, ratios: tuple[float, float, float], skipped: set[int]) -> dict[str, float]:
    """First convolutions of blocks; the paper counts layers from 1, the first convolution of all."""
    found = {}
    for stage, ratio in enumerate(ratios, start=1):
        for block in range(blocks):
            number = 2 + 2 * (blocks * (stage - 1) + block)
            if number not in skipped:
                found[f"layer{stage}.{block}.conv1"] = ratio
    return found


CIFAR = (1, 3, 32, 32)


def weights_of(module: nn.Module) -> int:
    """Weights of convolutions and linear layers, as the paper counts parameters."""
    layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    return sum(part.weight.numel() for part in layers)


def test_vgg16_a_has_the_papers_figures():
    net = vgg16_cifar()
    assert count(net, CIFAR).macs == 313_463_808
    convolutions = [name for name, part in net.named_modules() if isinstance(part, nn.Conv2d)]
    halved = {convolutions[index]: 0.5 for index in (0, 7, 8, 9, 10, 11, 12)}
    smaller = GraphModule(prune(open_module(net, CIFAR), Plan(layers=halved)))
    assert count(smaller, CIFAR).macs == 206_279_680
    assert weights_of(smaller) == 5_390_176


@pytest.mark.parametrize(
    ("depth", "ratios", "skipped", "macs", "cut"),
    [
        (56, (0.1, 0.1, 0.1), {16, 20, 38, 54}, 112_435_840, 10.4),
        (56, (0.6, 0.3, 0.1), {16, 18, 20, 34, 38, 54}, 90_907_264, 27.6),
        (110, (0.5, 0.0, 0.0), {36}, 212_779_648, 15.9),
        (110, (0.5, 0.4, 0.3), {36, 38, 74}, 155_124_352, 38.7),
    ],
)
def test_cifar_resnets_have_the_papers_figures(depth, ratios, skipped, macs, cut):
    net = CifarResNet(depth, 10).eval()
    plan = Plan(layers=resnet_layers((depth - 2) // 6, ratios, skipped))
    found = count(GraphModule(prune(open_module(net, CIFAR), plan)), CIFAR).macs
    assert found == macs
    assert round(100 * (1 - found / count(net, CIFAR).macs), 1) == cut


def test_the_filters_left_are_rounded_down():
    assert [kept(64, 0.3), kept(10, 0.9), kept(16, 0.6), kept(3, 0.0)] == [44, 1, 6, 3]


def test_the_smallest_filters_go():
    net = network([Residual])
    with torch.no_grad():
        net[1].inner[0].weight[[2, 5]] *= 1e-3
    model = open_module(net, SHAPE)
    channels = find_channels(model)
    [inner] = [group for group in channels.groups if group.name == "1.inner.0"]
    for criterion in ("l1", "l2"):
        gone = choose(channels, score(model, channels, criterion), Plan(layers={"1.inner.0": 0.1}))
        assert gone == {inner.bundles[2], inner.bundles[5]}


def test_small_gains_of_batch_norm_go_first():
    net = network([Residual])
    with torch.no_grad():
        net[1].inner[1].weight[[0, 7]] = 1e-4
    model = open_module(net, SHAPE)
    channels = find_channels(model)
    [inner] = [group for group in channels.groups if group.name == "1.inner.0"]
    gone = choose(channels, score(model, channels, "batch-norm"), Plan(layers={"1.inner.0": 0.1}))
    assert gone == {inner.bundles[0], inner.bundles[7]}


def test_the_filter_nearest_to_the_others_is_at_the_geometric_median():
    net = network([Residual])
    with torch.no_grad():
        weight = net[1].inner[0].weight
        weight[4] = weight[[i for i in range(len(weight)) if i != 4]].mean(0)
    model = open_module(net, SHAPE)
    channels = find_channels(model)
    [inner] = [group for group in channels.groups if group.name == "1.inner.0"]
    gone = choose(channels, score(model, channels, "geometric-median"), Plan(layers={"1.inner.0": 0.05}))
    assert gone == {inner.bundles[4]}


def test_taylor_spares_no_filter_that_nothing_reads(image):
    net = network([Residual])
    with torch.no_grad():
        net[1].outer[0].weight[:, 3] = 0
    model = open_module(net, SHAPE)
    channels = find_channels(model)
    [inner] = [group for group in channels.groups if group.name == "1.inner.0"]
    gradients = mean_gradients(model, [image.numpy()])
    scores = score(model, channels, "taylor", gradients)
    assert min(inner.bundles, key=scores.__getitem__) == inner.bundles[3]
    assert set(CRITERIA) == {"l1", "l2", "geometric-median", "batch-norm", "taylor"}


def test_filters_left_are_a_multiple_where_that_is_asked_for():
    model = open_module(network([Depthwise], channels=32), SHAPE)
    smaller = prune(model, Plan(0.3, round_to=8))
    widths = {len(group.bundles) for group in find_channels(smaller).groups if len(group.bundles) > 16}
    assert widths
    assert all(width % 8 == 0 for width in widths)


def test_pruning_in_steps_ends_where_one_step_does():
    model = open_module(network([Residual, Depthwise]), SHAPE)
    once, stepwise = prune(model, Plan(0.5)), prune(model, Plan(0.5), steps=3)
    assert count(GraphModule(once), SHAPE) == count(GraphModule(stepwise), SHAPE)


def test_one_ranking_takes_as_many_filters_in_steps_as_at_once_and_spares_the_layers_that_are_named():
    model = open_module(network([Residual, Depthwise], channels=16), SHAPE)
    plan = Plan(0.4, layers={"1.inner.0": 0.0}, everywhere=True)
    whole = {group.name: len(group.bundles) for group in find_channels(model).groups}
    for steps in (1, 2):
        left = {g.name: len(g.bundles) for g in find_channels(prune(model, plan, steps=steps)).groups}
        assert left["1.inner.0"] == whole["1.inner.0"] == 19
        others = sum(whole.values()) - 19
        assert abs(sum(left.values()) - 19 - 0.6 * others) <= 2


def test_a_ratio_that_empties_a_layer_is_refused_with_one_that_does_not():
    model = open_module(network([Residual]), SHAPE)
    with pytest.raises(EdgekitError, match=r"EK106.*no filter.*0\.87") as refused:
        prune(model, Plan(0.9))
    assert refused.value.table is not None


def test_a_pattern_without_a_layer_is_refused_with_near_misses():
    with pytest.raises(EdgekitError, match=r"EK106.*1\.inner\.0"):
        prune(open_module(network([Residual]), SHAPE), Plan(layers={"1.inner.9": 0.5}))


def test_layers_that_share_weights_lose_the_same_filters(image):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.shared, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

        def forward(self, x):
            return self.head(self.shared(self.shared(self.first(x)).relu()).relu().mean((2, 3)))

    net = Twice().eval()
    assert_same_as_masked(net, lambda channels: set(channels.groups[0].bundles[:2]), image)


def test_the_source_graph_is_left_as_it_was(image):
    model = open_module(network([Residual]), SHAPE)
    before = outputs(model, image)
    prune(model, Plan(0.4))
    assert torch.equal(outputs(model, image), before)


def test_batch_norm_estimated_again_has_the_statistics_of_the_images(image):
    model = reestimate_batch_norm(open_module(network([Residual]), SHAPE), [image.numpy()])
    module = GraphModule(model)
    seen = []
    norm = module.get_submodule("0.1")
    norm.register_forward_hook(lambda part, given, _: seen.append(given[0]))
    with torch.no_grad():
        module(image)
    assert torch.allclose(norm.running_mean, seen[0].mean((0, 2, 3)), atol=1e-4)


def test_weights_that_were_trained_come_back_into_the_graph(image):
    model = open_module(network([Residual]), SHAPE)
    module = GraphModule(model)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.1)
        trained = module(image)
    assert torch.allclose(outputs(with_weights_of(model, module), image), trained, atol=1e-6)


def test_every_zoo_family_has_groups_or_says_why_not():
    for name in ("shufflenet_v2_x0_5", "mobilenet_v3_small", "squeezenet1_1"):
        model = open_module(models.get(name).build().eval(), (1, 3, 64, 64))
        assert len(find_channels(model).groups) > 20
