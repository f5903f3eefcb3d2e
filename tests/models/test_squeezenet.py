"""SqueezeNet: its metaparameters, bypasses and pools, and a trained file of another maker."""

import numpy as np
import onnx
import pytest
import torch
from golden_vectors import TOLERANCE, deviation, entries, fill, read_keys
from onnx import numpy_helper
from onnxruntime import InferenceSession
from torch import nn

from edgekit.images.folder import ImageFolder
from edgekit.models.squeezenet import Fire, fire_widths, squeezenet1_0, squeezenet1_1
from edgekit.profile import count
from edgekit.registry import Preprocess
from edgekit.source.checkpoint import read_checkpoint
from edgekit.source.weights import load_weights

BUILDERS = [squeezenet1_0, squeezenet1_1]


def parameters(build=squeezenet1_0, **options):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(**options).parameters())


# Section 5.1 and 5.2 of the paper; the integers are its formulas, biases included.
@pytest.mark.parametrize(
    ("squeeze_ratio", "expected"),
    [(0.125, 1_248_424), (0.25, 1_967_080), (0.5, 3_404_392), (0.75, 4_841_704), (1.0, 6_279_016)],
)
def test_parameters_by_squeeze_ratio(squeeze_ratio, expected):
    assert parameters(squeeze_ratio=squeeze_ratio) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1_478_248), (0.5, 3_404_392), (0.99, 5_330_536)])
def test_parameters_by_share_of_3x3_filters(share, expected):
    assert parameters(squeeze_ratio=0.5, share3x3=share) == expected


def test_fire_modules_grow_by_the_papers_formula():
    expanded = [narrow + wide for _, narrow, wide in fire_widths(0.125, 0.5)]
    assert expanded == [128, 128, 256, 256, 384, 384, 512, 512]
    assert [squeeze for squeeze, _, _ in fire_widths(0.125, 0.5)] == [16, 16, 32, 32, 48, 48, 64, 64]
    assert fire_widths(0.5, 0.25)[0] == (64, 96, 32)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_simple_bypass_costs_nothing_and_a_complex_one_four_convolutions(build):
    vanilla = parameters(build)
    assert parameters(build, bypass="simple") == vanilla
    around = [(build(num_classes=1).features[0].out_channels, 128), (128, 256), (256, 384), (384, 512)]
    assert parameters(build, bypass="complex") == vanilla + sum(n * m + m for n, m in around)


def test_the_complex_bypass_of_1_0_has_the_parameters_of_the_paper():
    assert parameters(bypass="complex") == 1_589_672


@pytest.mark.parametrize("build", BUILDERS)
def test_bypasses_stand_around_the_fire_modules_of_the_papers_figure_2(build):
    kinds = {
        kind: [type(part.bypass) for part in build(bypass=kind).features if isinstance(part, Fire)]
        for kind in ("none", "simple", "complex")
    }
    nothing = type(None)
    assert kinds == {
        "none": [nothing] * 8,
        "simple": [nothing, nn.Identity] * 4,
        "complex": [nn.Conv2d, nn.Identity] * 4,
    }


def test_a_bypass_is_added_behind_the_concatenation():
    torch.manual_seed(0)
    plain, added = (Fire(8, 2, 4, 4, bypass) for bypass in (None, nn.Identity()))
    added.load_state_dict(plain.state_dict())
    x = torch.rand(1, 8, 5, 5)
    assert torch.equal(added(x), plain(x) + x)


REFERENCES = {
    "pytorchcv/squeezenet_v1_0": (squeezenet1_0, "none"),
    "pytorchcv/squeezenet_v1_1": (squeezenet1_1, "none"),
    "pytorchcv/squeezeresnet_v1_0": (squeezenet1_0, "simple"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_golden_logits_are_those_of_the_other_reference(name, golden, reference):
    build, bypass = REFERENCES[name]
    keys = read_keys(reference, name)
    module = build(bypass=bypass)
    assert [entry.shape for entry in entries(module)] == [entry.shape for entry in keys]
    assert deviation(fill(module, keys), golden[name]) < TOLERANCE


def test_1_1_with_simple_bypass_costs_what_its_reference_costs(facts):
    expected = facts["pytorchcv/squeezeresnet_v1_1"]
    with torch.device("meta"):
        counts = count(squeezenet1_1(bypass="simple"), (1, 3, 224, 224))
    assert (counts.params, counts.macs) == (expected["params"], expected["macs_incl_matmul"])


def map_sides(build, pixels):
    """Side of the map behind each pool."""
    sides, x = [], torch.zeros(1, 3, pixels, pixels, device="meta")
    with torch.device("meta"):
        for layer in build(num_classes=1).features:
            x = layer(x)
            sides += [x.shape[-1]] if isinstance(layer, nn.MaxPool2d) else []
    return sides


# Rounding down gives 26 and 12 for the first, 11 for the fourth; at 224 it would be the same for 1.1.
@pytest.mark.parametrize(
    ("build", "pixels", "sides"),
    [
        (squeezenet1_0, 224, [54, 27, 13]),
        (squeezenet1_0, 101, [24, 12, 6]),
        (squeezenet1_1, 224, [55, 27, 13]),
        (squeezenet1_1, 100, [24, 12, 6]),
    ],
)
def test_pools_round_up(build, pixels, sides):
    assert map_sides(build, pixels) == sides


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("bypass", "double"),
        ("squeeze_ratio", 0.0),
        ("squeeze_ratio", -1.0),
        ("squeeze_ratio", 0.003),
        ("share3x3", 0.0),
        ("share3x3", 1.0),
        ("share3x3", 0.003),
    ],
)
def test_an_option_that_makes_no_network_is_refused_by_name(build, option, value):
    with pytest.raises(ValueError, match=option):
        build(**{option: value})


@pytest.mark.parametrize("build", BUILDERS)
def test_a_fresh_network_neither_dies_nor_explodes(build):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 96, 96)
    maps = build().eval().features(x)
    assert 0.1 < maps.std() < 10
    assert (maps > 0).float().mean() > 0.2


# -- a trained file: SqueezeNet 1.1 by Caffe2, half precision, blue first ----------------------------------------------

FIRES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))
"""Caffe's number of a fire module -> its index in `features`."""

CAFFE = Preprocess(
    resize=227,
    crop=(224, 224),
    mean=(104 / 255, 117 / 255, 123 / 255),
    std=(1 / 255,) * 3,
    channel_order="BGR",
)
"""What the file is fed: pixels of 0..255, blue first, less the mean."""


@pytest.fixture(scope="module")
def caffe2(test_data):
    """The graph up to its logits, the input of the Softmax."""
    proto = onnx.load(test_data / "weights" / "squeezenet1_1-fp16.onnx")
    softmax = proto.graph.node[-1]
    assert softmax.op_type == "Softmax"
    proto.graph.output[0].name = softmax.input[0]
    del proto.graph.node[-1]
    return proto


def caffe2_key(name):
    """Our key of one of the graph's constants."""
    layer, kind, _ = name.rsplit("_", 2)
    tensor = {"w": "weight", "b": "bias"}[kind]
    if "/" not in layer:
        return {"conv1": "features.0", "conv10": "classifier.1"}[layer] + f".{tensor}"
    fire, part = layer.split("/")
    return f"features.{FIRES[int(fire.removeprefix('fire'))]}.{part.replace('squeeze1x1', 'squeeze')}.{tensor}"


@pytest.fixture(scope="module")
def trained(caffe2):
    """SqueezeNet 1.1 that holds the file's numbers."""
    state = {
        caffe2_key(constant.name): torch.from_numpy(numpy_helper.to_array(constant).astype(np.float32))
        for constant in caffe2.graph.initializer
    }
    module = squeezenet1_1().eval()
    load_weights(module, state, "squeezenet1_1-fp16.onnx")
    return module


@pytest.fixture(scope="module")
def photographs(test_data):
    folder = ImageFolder.open(test_data / "images" / "imagenet1000")
    return np.concatenate(list(folder[::100].batches(CAFFE, 10)))


def test_logits_are_those_of_the_trained_file_within_half_precision(caffe2, trained, photographs):
    session = InferenceSession(caffe2.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    theirs = [session.run(None, {name: image[None].astype(np.float16)})[0].reshape(-1) for image in photographs]
    with torch.inference_mode():
        ours = trained(torch.from_numpy(photographs)).numpy()
    expected = np.stack(theirs).astype(np.float32)
    assert np.abs(ours - expected).max() < 2e-3 * expected.max()
    assert np.array_equal(ours.argmax(1), expected.argmax(1))


def test_the_trained_file_recognises_photographs(trained, test_data):
    every = slice(None, None, 40)
    folder = ImageFolder.open(test_data / "images" / "imagenet1000")
    images = np.concatenate(list(folder[every].batches(CAFFE, 25)))
    with torch.inference_mode():
        classes = trained(torch.from_numpy(images)).argmax(1).numpy()
    # 67 % are known of all thousand images; 25 have a standard error of 9 %.
    assert (classes == np.arange(1000)[every]).mean() > 0.45


def test_a_checkpoint_of_the_same_weights_holds_the_same_numbers(trained, test_data):
    state = read_checkpoint(test_data / "weights" / "squeezenet1_1.pth").tensors
    assert state.keys() == trained.state_dict().keys()
    assert all(torch.equal(value, state[key].float()) for key, value in trained.state_dict().items())
