"""CondenseNet: the learning of groups, the conversion, and the paper's way of counting."""

import json

import pytest
import torch
from torch import nn

from edgekit.models._learned_groups import IndexedGroupConv, LearnedGroupConv, condensing_stage
from edgekit.models.condensenet import condensenet74_c4_g4, condensenet74_c8_g8, convert
from edgekit.profile import count

CIFAR_DEPTHS = (50, 74, 86, 98, 110, 122, 182)
EXACT = 1e-12
"""In double precision, what is left of the order of summation: the masked sums have zeros that the grouped have not."""

BUILD = {"C4G4": condensenet74_c4_g4, "C8G8": condensenet74_c8_g8}


@pytest.fixture(scope="module")
def measured(reference):
    """Name -> figures of the authors' own code."""
    return json.loads((reference / "facts.json").read_text())["extra_measurements"]


def papers_flops(module, pixels):
    """The paper's count: multiply-accumulates, elements of ReLUs, k * k per output of a pool, biases of the head."""
    extra = 0

    def add(part, _inputs, output):
        nonlocal extra
        if isinstance(part, nn.ReLU):
            extra += output.numel()
        elif isinstance(part, nn.AvgPool2d):
            extra += output.numel() * part.kernel_size**2
        elif isinstance(part, nn.AdaptiveAvgPool2d):
            extra += _inputs[0].numel()
        elif isinstance(part, nn.Linear):
            extra += part.out_features

    handles = [part.register_forward_hook(add) for part in module.modules()]
    macs = count(module, (1, 3, pixels, pixels)).macs
    for handle in handles:
        handle.remove()
    return macs + extra


def parameters(build, **options):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(**options).parameters())


@pytest.mark.parametrize("name", BUILD)
def test_counts_are_the_authors_and_the_papers(name, measured):
    expected = measured[f"condense_imagenet_{name}"]
    assert parameters(BUILD[name], form="training") == expected["train_params"]
    assert parameters(BUILD[name]) == expected["converted_params"]
    with torch.device("meta"):
        module = BUILD[name]()
    assert count(module, (1, 3, 224, 224)).macs == expected["converted_conv_linear_macs"]
    assert papers_flops(module, 224) == expected["paper_style_flops_converted"]


@pytest.mark.parametrize("depth", CIFAR_DEPTHS)
def test_networks_for_cifar_count_as_the_paper_says(depth, measured):
    expected, options = measured[f"condense_cifar10_{depth}"], {"num_classes": 10, "cifar_depth": depth}
    assert parameters(condensenet74_c4_g4, form="training", **options) == expected["train_params"]
    assert parameters(condensenet74_c4_g4, **options) == expected["converted_params"]
    with torch.device("meta"):
        module = condensenet74_c4_g4(**options)
    assert count(module, (1, 3, 32, 32)).macs == expected["converted_conv_linear_macs"]
    assert papers_flops(module, 32) == expected["paper_style_flops_converted"]


@pytest.mark.parametrize(
    ("progress", "factor", "stage"),
    [
        (0, 4, 0),
        (0.16, 4, 0),
        (1 / 6, 4, 1),
        (0.34, 4, 2),
        (0.49, 4, 2),
        (0.5, 4, 3),
        (1.0, 4, 3),
        (0.5, 8, 7),
        (0, 8, 0),
    ],
)
def test_the_first_half_of_training_condenses_in_equal_stages(progress, factor, stage):
    assert condensing_stage(progress, factor) == stage


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return LearnedGroupConv(16, 24, groups=4, factor=4)


def living(layer):
    """bool[groups, inputs]; every output of a group agrees."""
    by_group = layer.by_group(layer.mask).bool()
    assert (by_group == by_group[:1]).all()
    return by_group[0]


def test_each_stage_leaves_the_same_share_in_every_group_and_revives_nothing(layer):
    alive = living(layer)
    for stage in range(4):
        layer.condense(stage / 6)
        assert living(layer).sum(1).tolist() == [16 * (4 - stage) // 4] * 4
        assert not (living(layer) & ~alive).any()
        alive = living(layer)


def test_a_group_gives_up_the_inputs_with_the_smallest_weights_of_its_own_outputs(layer):
    layer.condense(1 / 6)
    for group in range(4):  # output o belongs to group o mod G
        norms = layer.conv.weight[group::4, :, 0, 0].abs().sum(0)
        assert set(living(layer)[group].logical_not().nonzero().flatten().tolist()) == set(norms.argsort()[:4].tolist())


def test_a_weight_that_is_dropped_is_not_dropped_again_when_it_is_the_smallest(layer):
    layer.condense(1 / 6)
    with torch.no_grad():
        layer.conv.weight *= layer.mask
    layer.condense(2 / 6)
    assert living(layer).sum(1).tolist() == [8] * 4


def test_progress_that_jumps_passes_through_every_stage(layer):
    other = LearnedGroupConv(16, 24, groups=4, factor=4)
    other.load_state_dict(layer.state_dict())
    layer.condense(0.9)
    for stage in range(4):
        other.condense(stage / 6)
    assert torch.equal(layer.mask, other.mask)
    assert int(layer.stage) == 3


def test_a_forward_pass_and_a_repeated_stage_change_no_mask(layer):
    layer.condense(0.2)
    before = layer.mask.clone()
    layer(torch.randn(2, 16, 3, 3))
    layer.condense(0.2)
    assert torch.equal(layer.mask, before)


def test_the_lasso_is_the_sum_of_norms_of_living_groups_and_ends_with_the_condensing(layer):
    layer.condense(0.2)
    weight = (layer.conv.weight * layer.mask)[:, :, 0, 0]
    norms = [
        weight[group::4, column].square().sum().clamp(min=1e-6).sqrt() for group in range(4) for column in range(16)
    ]
    assert layer.group_lasso().item() == pytest.approx(torch.stack(norms).sum().item(), rel=1e-6)
    layer.group_lasso().backward()
    assert layer.conv.weight.grad.isfinite().all()
    layer.condense(0.5)
    assert layer.group_lasso().item() == 0


def test_a_layer_converts_to_the_same_function(layer):
    with torch.no_grad():
        for value in (*layer.norm.parameters(), layer.norm.running_mean):
            value.uniform_(0.5, 1.5)
    layer.eval().double().condense(1.0)
    indexed = IndexedGroupConv(16, 24, 4, 4).eval().double()
    indexed.take(layer)
    x = torch.randn(2, 16, 5, 5, dtype=torch.float64)
    assert torch.allclose(indexed(x), layer(x), rtol=EXACT, atol=EXACT)


def test_a_layer_that_is_not_condensed_does_not_convert(layer):
    layer.condense(0.4)
    with pytest.raises(ValueError, match="stage 2 of 3"):
        layer.kept()


@pytest.fixture(scope="module")
def condensed():
    torch.manual_seed(0)
    network = condensenet74_c4_g4(num_classes=10, form="training", cifar_depth=50)
    network(torch.randn(4, 3, 32, 32))  # statistics that are not 0 and 1
    network.condense(1.0)
    return network.eval().double()


def test_converted_features_are_the_masked_ones_and_the_classifier_keeps_the_strong_half(condensed):
    converted, x = convert(condensed).double(), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    features = condensed.final_pool(condensed.features(x)).flatten(1)
    found = converted.final_pool(converted.features(x)).flatten(1)
    assert torch.allclose(found, features, rtol=EXACT, atol=EXACT)
    strength = condensed.output.weight.abs().sum(0)
    index = converted.output.index
    assert len(index) == condensed.output.in_features // 2
    assert strength[index].min() >= strength[[i for i in range(len(strength)) if i not in set(index.tolist())]].max()
    chosen = features[:, index] @ condensed.output.weight[:, index].T + condensed.output.bias
    assert torch.allclose(converted(x), chosen, rtol=EXACT, atol=EXACT)


def test_a_converted_network_has_the_same_keys_as_a_built_one(condensed):
    built = condensenet74_c4_g4(num_classes=10, cifar_depth=50)
    assert list(convert(condensed).state_dict()) == list(built.state_dict())


def test_a_converted_network_neither_converts_again_nor_has_a_lasso():
    converted = condensenet74_c4_g4(cifar_depth=50)
    with pytest.raises(ValueError, match="converted already"):
        convert(converted)
    with pytest.raises(ValueError, match='form="training"'):
        converted.group_lasso()


def test_training_with_the_lasso_moves_the_weights_and_condenses_the_network():
    torch.manual_seed(0)
    network = condensenet74_c4_g4(num_classes=10, form="training", cifar_depth=50)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    x, classes = torch.randn(8, 3, 32, 32), torch.arange(8)
    losses = []
    for step in range(8):
        network.condense(step / 8)
        loss = nn.functional.cross_entropy(network(x), classes) + 1e-5 * network.group_lasso()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(int(layer.stage) == 3 for layer in network.learned())


@pytest.mark.parametrize("options", [{"form": "dense"}, {"cifar_depth": 40}], ids=str)
def test_an_option_that_makes_no_network_is_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        condensenet74_c4_g4(**options)
