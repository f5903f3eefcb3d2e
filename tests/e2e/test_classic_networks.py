"""AlexNet, VGG, SqueezeNet, GoogLeNet, Inception v3 at full size: one XNNPACK partition, nothing transposed."""

import pytest
from settled import Settled

from edgekit.registry import models
from edgekit.targets.tflite.delegate import delegation

pytestmark = pytest.mark.slow

TARGETS = ("tflite-fp32", "tflite-int8")
SIZES = {
    "squeezenet1_0": 224,
    "squeezenet1_1": 227,
    "googlenet": 224,
    "inception_v3": 299,
    "alexnet": 224,
}


def assert_delegated(name, size):
    model = Settled.make(name, size, 4)
    for target in TARGETS:
        emitted = model.emit(target)
        found = delegation(emitted)
        assert (found.partitions, found.undelegated) == (1, ())
        assert not {"TRANSPOSE", "QUANTIZE", "DEQUANTIZE"} & set(emitted.operators)
    return emitted


@pytest.mark.parametrize("name", SIZES)
def test_the_delegate_takes_the_whole_file_at_full_size(name):
    assert_delegated(name, SIZES[name])


def test_the_first_linear_layer_of_vgg_shrinks_with_its_map():
    emitted = assert_delegated("vgg11_bn", 64)
    # 2x2 pixels instead of 7x7 for each of 4096 hidden units: 45 of 49 parts of 25088 inputs go.
    kept = models.get("vgg11_bn").params - 4096 * 512 * (49 - 4)
    assert kept < len(emitted.data) < 1.02 * kept
