"""On-device tests for your own pytest suite. Installing edgekit brings the fixtures; three lines make a test.

from edgekit.testing import assert_parity

def test_my_model_on_the_device(exported, edgekit_device):
    assert_parity(exported("mobilenet_v3_small", target="tflite-int8"), edgekit_device)

pytest --edgekit-device pi4 --edgekit-baseline main.jsonl
"""

from edgekit.testing.assertions import assert_instructions, assert_latency, assert_parity
from edgekit.testing.under_test import UnderTest

__all__ = ["UnderTest", "assert_instructions", "assert_latency", "assert_parity"]
