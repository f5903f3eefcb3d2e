"""Every family of the zoo to the four main targets: all gates, one partition, no needless transposition."""

import json

import pytest
from small import SMALL, TRANSPOSES

MAIN = ("tflite-fp32", "tflite-int8", "ort-fp32", "ort-int8")


@pytest.mark.parametrize("model", sorted(SMALL))
def test_a_family_passes_every_gate_in_one_partition_and_nothing_is_transposed(model, export_settled):
    code, document = export_settled(model, *MAIN)
    failed = [(t["target"], hop) for t in document["targets"] for hop in t["parity"]["hops"] if not hop["passed"]]
    assert (code, failed) == (0, []), json.dumps(document["error"])
    for target in document["targets"][:2]:
        assert target["delegation"] == {"delegate": "XNNPACK", "partitions": 1, "undelegated": []}
        assert target["operators"].get("TRANSPOSE", 0) == TRANSPOSES.get(model, 0)
