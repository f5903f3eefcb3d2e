"""SENet layer by layer, its two forms told apart, and squeeze-excite in any ResNet.

The golden weights make deep SE networks chaotic: rounding the input to float32 changes the logits of SE-ResNet-101 by
more than their own deviation. Logits say little there, so that every layer is compared with the reference's trace.
"""

from collections import Counter

import pytest
import torch
from golden_vectors import deviation, entries, fill, read_keys
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.models.resnet import BasicBlock, CifarResNet, resnet18, resnet34, resnet50
from edgekit.profile import count
from edgekit.registry import models
from edgekit.source.weights import load_weights

TRACES = {
    "seresnet50": "timm/seresnet50",
    "seresnet101": "timm/seresnet101",
    "legacy_seresnet50": "timm/legacy_seresnet50",
    "legacy_seresnet101": "timm/legacy_seresnet101",
    "legacy_seresnet152": "pretrainedmodels/se_resnet152",
    "senet154": "timm/legacy_senet154",
}
LAYERS = {nn.Conv2d: "convolution", nn.BatchNorm2d: "native_batch_norm", nn.MaxPool2d: "max_pool2d_with_indices"}

POOL = {"layer0.pool": "pool0"}
"""Cadene's name of the first pool, and timm's."""


def reference_layers(reference, name):
    """module -> (input, weight and output shapes; stride, padding, dilation, groups, epsilon) as the trace has them."""
    rows = (reference / "traces" / f"{name.replace('/', '__')}.tsv").read_text().splitlines()[1:]
    found = {}
    for _, module, operator, inputs, output, arguments in (row.split("\t") for row in rows):
        if operator.partition(".")[0] in LAYERS.values():
            found[POOL.get(module, module)] = (inputs.split()[0], output, arguments)
    return found


def shape_text(tensor):
    return "x".join(map(str, tensor.shape))


def arguments_text(layer):
    """A layer's settings as a trace writes them."""
    if isinstance(layer, nn.Conv2d):
        geometry = [list(layer.stride), list(layer.padding), list(layer.dilation), False, [0, 0], layer.groups]
        return str(geometry if layer.bias is not None else [None, *geometry])
    if isinstance(layer, nn.BatchNorm2d):
        return str([False, layer.momentum, layer.eps])
    window = [[layer.kernel_size] * 2, [layer.stride] * 2, [layer.padding] * 2]
    return str([*window, [layer.dilation] * 2, True] if layer.ceil_mode else window)


def our_layers(module, pixels):
    found = {}

    def record(name):
        def hook(layer, inputs, output):
            found[name] = (shape_text(inputs[0]), shape_text(output), arguments_text(layer))

        return hook

    for name, layer in module.named_modules():
        if type(layer) in LAYERS:
            layer.register_forward_hook(record(name))
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, pixels, pixels, device="meta"))
    return found


@pytest.mark.parametrize("name", TRACES)
def test_every_layer_reads_and_gives_what_it_does_in_the_reference(name, reference):
    with torch.device("meta"):
        module = models.get(name).build()
    expected = reference_layers(reference, TRACES[name])
    found = our_layers(module, 224)
    assert found == expected
    assert len(expected) > 100


def test_seresnet152_has_the_blocks_of_seresnet101_where_their_stages_agree():
    with torch.device("meta"):
        deep, other = (our_layers(models.get(f"seresnet{depth}").build(), 224) for depth in (152, 101))
    shared = deep.keys() & other.keys()
    assert {name: deep[name] for name in shared} == {name: other[name] for name in shared}
    repeated = {name for name in deep if name not in other}
    for name in repeated:
        stage, _, layer = name.split(".", 2)
        assert deep[name] == other[f"{stage}.1.{layer}"], name


@pytest.mark.parametrize("name", ["seresnet50", "legacy_seresnet50"])
def test_logits_are_the_references_as_far_as_rounding_lets_them(name, golden):
    """float32 and float64 differ by more than the registry's tolerance here; a wrong layer by far more than this."""
    module = models.get(name).build()
    assert deviation(fill(module, entries(module)), golden[models.get(name).reference]) < 5e-3


def test_rounding_alone_moves_the_logits_of_a_deep_se_network():
    """Why no golden logits are compared of the deeper ones; without squeeze-excite the same input noise is harmless."""
    module = models.get("seresnet101").build()
    fill(module, entries(module)).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact, rounded = module(x), module(x.float().double())
    assert float((exact - rounded).abs().max() / exact.std()) > 1e-3


@pytest.mark.parametrize(("ours", "theirs"), [("seresnet50", "legacy_seresnet50"), ("legacy_seresnet50", "seresnet50")])
def test_the_other_forms_checkpoint_is_refused_though_every_shape_agrees(ours, theirs):
    module, other = models.get(ours).build(), models.get(theirs).build()
    assert [entry.shape for entry in entries(module)] == [entry.shape for entry in entries(other)]
    with pytest.raises(EdgekitError, match="does not fit"):
        load_weights(module, other.state_dict(), "net.pth")


def test_the_two_forms_compute_different_things():
    ours, theirs = models.get("seresnet50").build().eval(), models.get("legacy_seresnet50").build().eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert not torch.allclose(ours(x), theirs(x), rtol=0.1)


SQUEEZED = {
    "timm/seresnet18": lambda: resnet18(squeeze_excite=True),
    "timm/seresnet34": lambda: resnet34(squeeze_excite=True),
    "timm/seresnet50": lambda: resnet50(squeeze_excite=True),
}
"""References of ResNets with squeeze-excite, from the builders' option."""


@pytest.mark.parametrize("name", SQUEEZED)
def test_squeeze_excite_in_a_resnet_costs_what_the_reference_costs(name, facts):
    with torch.device("meta"):
        module = SQUEEZED[name]()
    counts = count(module, (1, 3, 224, 224))
    assert (counts.params, counts.macs) == (facts[name]["params"], facts[name]["macs_incl_matmul"])
    assert len(entries(module)) == facts[name]["n_tensors"]


def test_squeeze_excite_in_a_cifar_resnet_costs_what_the_reference_costs(facts):
    with torch.device("meta"):
        plain, squeezed = (CifarResNet(20, 10, squeeze_excite=on) for on in (False, True))
    added = facts["pytorchcv/seresnet20_cifar10"]["params"] - facts["pytorchcv/resnet20_cifar10"]["params"]
    assert count(squeezed, (1, 3, 32, 32)).params - count(plain, (1, 3, 32, 32)).params == added


def test_a_resnet_without_it_has_torchvisions_keys(reference):
    with torch.device("meta"):
        assert entries(resnet50()) == read_keys(reference, "torchvision/resnet50")


def test_any_attention_fits_into_a_block():
    block = BasicBlock(8, 8, 1, None, attention=lambda channels: nn.Conv2d(channels, channels, 1))
    assert block(torch.zeros(1, 8, 4, 4)).shape == (1, 8, 4, 4)
    kinds = Counter(type(layer).__name__ for layer in block.modules())
    assert kinds["Conv2d"] == 3
