"""`edgekit verify`: golden vectors, from a bundle alone."""

import json
import math

import numpy as np
import onnx
import pytest

from edgekit.artifact import Artifact, Hop, OutputParity, ParityReport
from edgekit.bundle.contract import make_contract
from edgekit.bundle.files import read_bundle
from edgekit.bundle.write import write_bundle
from edgekit.cli import main
from edgekit.errors import EdgekitError
from edgekit.registry import Preprocess
from edgekit.target import Emitted, TensorInfo, Tolerance, targets
from edgekit.verify.evaluate import Selection, evaluate_bundle
from edgekit.verify.golden import (
    SQNR_SLACK_DB,
    GoldenResult,
    check_golden,
    no_stricter_than,
    raise_mismatch,
)

FEED = Preprocess(resize=6, crop=(6, 6), mean=(0.0,) * 3, std=(1.0,) * 3)
IMAGES = np.random.default_rng(0).random((4, 3, 6, 6), np.float32)
SURFACE = (TensorInfo("x", (1, 3, 6, 6), "float32", "NCHW"),), (TensorInfo("y", (1, 3), "float32", "NC"),)

MANIFEST = {
    "model_file": "model.onnx",
    "model": "net",
    "target": "ort-fp32",
    "min_runtime": "",
    "scheme": {"weight": "float32", "activation": "float32"},
}


def model(factor):
    """Scores: `factor` times the mean of each channel."""
    made = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[1,3,6,6] x) => (float[1,3] y)'
        f"<float f = {{{factor}}}> {{p = GlobalAveragePool(x) q = Flatten(p) y = Mul(q, f)}}"
    )
    return made.SerializeToString()


@pytest.fixture
def bundle(tmp_path):
    """`bundle(factor, outputs, reference)`: a bundle of that model which claims those golden outputs."""

    def make(factor=1.0, outputs=None, reference=None):
        scores = IMAGES.mean((2, 3)) if outputs is None else outputs
        emitted = Emitted(model(factor), *SURFACE, {"Mul": 1})
        contract = make_contract(FEED, emitted, ("red", "green", "blue"), {"y": "scores"})
        float_model = scores if reference is None else reference
        parity = ParityReport((), 4, "noise")
        made = Artifact("ort-fp32", emitted, contract, parity, IMAGES, {"y": scores}, {"y": float_model})
        write_bundle(tmp_path / "ort-fp32", made, MANIFEST, "")
        return read_bundle(tmp_path / "ort-fp32")

    return make


def test_a_file_that_gives_its_outputs_again_passes(bundle):
    found = check_golden(bundle())
    assert (found.target, found.images) == ("ort-fp32", 4)
    assert [(hop.reference, hop.passed) for hop in found.hops] == [("file at export", True), ("float model", True)]
    raise_mismatch(found, "bundle")


def test_equal_bits_are_told_from_equal_enough(bundle):
    outputs = targets.get("ort-fp32").run(bundle().model_file)(IMAGES)["y"]
    assert check_golden(bundle(outputs=outputs)).bit_exact
    actual = check_golden(bundle(outputs=np.nextafter(outputs, np.float32(9))))
    assert not actual.bit_exact
    assert all(hop.passed for hop in actual.hops)


def test_another_file_under_the_same_vectors_fails_with_the_hop_that_moved(bundle):
    found = check_golden(bundle(factor=1.5))
    with pytest.raises(EdgekitError) as raised:
        raise_mismatch(found, "build/net/ort-fp32")
    error = raised.value
    assert (error.code, error.exit_code, error.where) == ("EK502", 1, "build/net/ort-fp32")
    assert [row[0] for row in error.table.rows] == ["file at export -> file now", "float model -> file now"]
    assert error.what == "ort-fp32: the golden vectors no longer give their outputs"


def test_the_command_tells_how_far_each_hop_moved_before_it_fails(bundle, capsys):
    folder = str(bundle(factor=1.5).path)
    assert main(["verify", folder, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["code"] == "EK502"
    assert [hop["passed"] for hop in document["hops"]] == [False, False]
    assert main(["verify", folder]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("FAIL") == 2
    assert printed.err.startswith("EK502 ")


def test_the_float_model_is_compared_too(bundle):
    scores = IMAGES.mean((2, 3))
    found = check_golden(bundle(reference=scores + np.float32(0.5)))
    assert [hop.passed for hop in found.hops] == [True, False]


def at_export(sqnr_db, agreement):
    return OutputParity("y", 0.0, 1.0, 1.0, sqnr_db, agreement)


def test_few_vectors_are_not_held_to_more_than_they_had_at_export():
    gate = Tolerance(min_sqnr_db=10.0, min_agreement=0.85)
    assert no_stricter_than(at_export(30.0, 1.0), gate) == gate
    assert no_stricter_than(at_export(8.0, 0.75), gate) == Tolerance(None, 8.0 - SQNR_SLACK_DB, 0.75)
    assert no_stricter_than(at_export(math.inf, 1.0), gate) == gate
    assert no_stricter_than(at_export(8.0, 0.5), Tolerance(max_abs=1e-4)) == Tolerance(max_abs=1e-4)


def test_a_result_without_failures_raises_nothing():
    raise_mismatch(GoldenResult("t", 4, False, (Hop("file now", "float model", (at_export(30.0, 1.0),)),)), "bundle")


def test_a_bundle_is_evaluated_from_its_contract_alone(bundle, tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        (tmp_path / "data" / name).mkdir(parents=True)
        image.new("RGB", (9, 7), colour).save(tmp_path / "data" / name / "0.png")
    found = evaluate_bundle(bundle(), Selection(tmp_path / "data"))
    assert (found.images, found.top1.percent) == (2, 100.0)
