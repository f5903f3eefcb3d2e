"""Bundles: written whole or not at all, read with every hash checked."""

import io
import json
import os
import resource
import zipfile
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from edgekit.artifact import Artifact, Contract, ParityReport
from edgekit.bundle.archive import archive
from edgekit.bundle.files import read_bundle, sha256
from edgekit.bundle.write import (
    as_json,
    check_writable,
    contract_document,
    failure_folder,
    write_bundle,
    write_failure,
)
from edgekit.errors import EdgekitError
from edgekit.registry import Preprocess
from edgekit.target import Emitted, TensorInfo

RNG = np.random.default_rng(0)
IMAGES, SCORES = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 3, 4, 4), (2, 3)))
SCHEME = {"weight": "float32", "activation": "float32"}
MANIFEST = {"model_file": "model.onnx", "target": "ort-fp32", "model": "net", "min_runtime": "", "scheme": SCHEME}


def artifact(labels=("cat", "dog", "é, emu"), data=b"the file"):
    taken = (TensorInfo("input", (1, 3, 4, 4), "float32", "NCHW"),)
    scores = TensorInfo("output", (1, 3), "float32", "NC", meaning="scores")
    surface = taken, (scores, TensorInfo("b.x", (1, 3, 4, 4), "float32", "NCHW", meaning="values"))
    contract = Contract(*surface, Preprocess(), ("decode", "resize"), labels)
    emitted = Emitted(data, *surface, {"Conv": 2})
    outputs, reference = {"output": SCORES, "b.x": IMAGES}, {"output": SCORES + 1, "b.x": IMAGES + 1}
    return Artifact("ort-fp32", emitted, contract, ParityReport((), 2, "noise"), IMAGES, outputs, reference)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "build" / "net" / "ort-fp32"


@pytest.fixture
def bundle(folder):
    write_bundle(folder, artifact(), MANIFEST, "<html>")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def beside(folder):
    """What lies next to a bundle, hidden things included."""
    return sorted(os.listdir(folder.parent))


def refused(call, code):
    with pytest.raises(EdgekitError) as raised:
        call()
    assert raised.value.code == code, raised.value
    return raised.value


@contextmanager
def full_disk():
    """No file may grow beyond a few bytes; over before pytest itself writes, perhaps into a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_written_is_read_back(bundle):
    found = read_bundle(bundle)
    assert found.model_file.read_bytes() == b"the file"
    assert (found.target, found.labels) == ("ort-fp32", ("cat", "dog", "é, emu"))
    assert np.array_equal(found.inputs, IMAGES)
    assert list(found.outputs) == list(found.reference) == ["output", "b.x"]
    assert np.array_equal(found.outputs["output"], SCORES)
    assert np.array_equal(found.reference["b.x"], IMAGES + 1)
    assert [tensor.name for tensor in found.output_tensors] == ["output", "b.x"]
    assert found.scores is not None
    assert found.scores.name == "output"
    assert found.contract["steps"] == ["decode", "resize"]
    assert found.contract["labels_file"] == "labels.txt"
    assert found.contract["preprocess"]["crop"] == [224, 224]


def test_an_output_is_not_taken_for_another_whose_name_ends_like_an_array_file(folder):
    known, names = artifact(), ("a.npy", "a")
    scores, images = (replace(tensor, name=name) for tensor, name in zip(known.emitted.outputs, names, strict=True))
    named = dict(zip(names, (SCORES, IMAGES), strict=True))
    contract = replace(known.contract, outputs=(scores, images))
    write_bundle(
        folder, replace(known, contract=contract, golden_outputs=named, reference_outputs=named), MANIFEST, "<html>"
    )
    found = read_bundle(folder)
    for outputs in (found.outputs, found.reference):
        assert np.array_equal(outputs["a"], IMAGES)
        assert np.array_equal(outputs["a.npy"], SCORES)


def test_a_bundle_holds_these_files_and_leaves_nothing_beside_it(bundle):
    names = ["contract.json", "golden.npz", "labels.txt", "manifest.json", "model.onnx", "report.html"]
    assert sorted(contents(bundle)) == names
    assert beside(bundle) == ["ort-fp32"]
    assert bundle.stat().st_mode & 0o777 == 0o755


def test_every_file_but_manifest_and_report_is_hashed(bundle):
    files = json.loads((bundle / "manifest.json").read_bytes())["files"]
    assert sorted(files) == ["contract.json", "golden.npz", "labels.txt", "model.onnx"]
    for name, entry in files.items():
        data = (bundle / name).read_bytes()
        assert entry == {"sha256": sha256(data), "size_bytes": len(data)}


def test_a_model_without_labels_has_no_file_of_them(folder):
    write_bundle(folder, artifact(labels=()), MANIFEST, "")
    assert "labels.txt" not in contents(folder)
    assert read_bundle(folder).labels == ()
    assert read_bundle(folder).contract["labels_file"] is None


def test_the_same_artifact_gives_the_same_bytes(bundle, tmp_path):
    write_bundle(tmp_path / "again" / "ort-fp32", artifact(), dict(reversed(MANIFEST.items())), "<html>")
    assert contents(tmp_path / "again" / "ort-fp32") == contents(bundle)


def test_an_archives_bytes_depend_on_the_arrays_alone(tmp_path):
    first = archive({"b": SCORES, "a": IMAGES})
    assert first == archive({"a": np.asfortranarray(IMAGES), "b": SCORES.copy()})
    assert first != archive({"a": IMAGES, "b": SCORES + 1})
    (tmp_path / "a.npz").write_bytes(first)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as loaded:
        assert loaded.files == ["a", "b"]
        assert np.array_equal(loaded["a"], IMAGES)


def test_an_archive_holds_no_time_of_day():
    with zipfile.ZipFile(io.BytesIO(archive({"a": IMAGES, "b": SCORES}))) as zipped:
        assert {entry.date_time for entry in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_json_is_sorted_readable_and_ends_in_a_newline():
    assert as_json({"b": [1], "a": "é"}) == '{\n  "a": "é",\n  "b": [\n    1\n  ]\n}\n'.encode()


def test_the_contract_says_how_a_stored_number_becomes_a_real_one():
    document = contract_document(artifact().contract)
    assert "scale * (stored - zero_point)" in document["dequantize"]
    assert json.loads(as_json(document))["inputs"][0]["layout"] == "NCHW"


@pytest.mark.parametrize("name", ["model.onnx", "contract.json", "golden.npz", "labels.txt"])
def test_a_changed_file_is_named(bundle, name):
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    error = refused(lambda: read_bundle(bundle), "EK110")
    assert error.what == f"{name} was changed after it was written"
    assert error.where == str(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "contract.json", "golden.npz", "labels.txt", "manifest.json"])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    assert refused(lambda: read_bundle(bundle), "EK110").what == f"{name} is missing"


@pytest.mark.parametrize("name", ["model.onnx", "contract.json", "golden.npz"])
def test_a_file_that_the_manifest_no_longer_lists_is_not_believed(bundle, name):
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    del manifest["files"][name]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert name in refused(lambda: read_bundle(bundle), "EK110").what


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"files": []}', '{"files": {"model.onnx": 1}}', '{"files": {}}', "\xff"]
)
def test_a_manifest_that_makes_no_sense_is_refused(bundle, text):
    (bundle / "manifest.json").write_bytes(text.encode("latin-1"))
    refused(lambda: read_bundle(bundle), "EK110")


def test_a_folder_in_a_files_place_is_refused(bundle):
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").mkdir()
    refused(lambda: read_bundle(bundle), "EK110")


def test_there_is_no_bundle_where_no_folder_is(tmp_path):
    refused(lambda: read_bundle(tmp_path / "no"), "EK102")
    (tmp_path / "file").write_text("x")
    refused(lambda: read_bundle(tmp_path / "file"), "EK102")


def test_a_new_bundle_takes_the_place_of_the_old_one_with_all_its_files(bundle):
    write_bundle(bundle, artifact(labels=(), data=b"newer"), MANIFEST, "<html>")
    assert sorted(contents(bundle)) == ["contract.json", "golden.npz", "manifest.json", "model.onnx", "report.html"]
    assert read_bundle(bundle).model_file.read_bytes() == b"newer"
    assert beside(bundle) == ["ort-fp32"]


def test_what_the_user_put_into_a_bundle_stays_when_a_new_one_takes_its_place(bundle):
    (bundle / "notes.txt").write_text("mine")
    write_bundle(bundle, artifact(labels=(), data=b"newer"), MANIFEST, "<html>")
    assert (bundle / "notes.txt").read_text() == "mine"
    assert read_bundle(bundle).model_file.read_bytes() == b"newer"
    assert not (bundle / "labels.txt").exists()


def test_a_write_that_fails_leaves_the_old_bundle_whole_and_nothing_beside_it(bundle):
    before = contents(bundle)
    with full_disk():
        error = refused(lambda: write_bundle(bundle, artifact(data=b"newer"), MANIFEST, ""), "EK702")
    assert "too large" in error.what
    assert contents(bundle) == before
    assert beside(bundle) == ["ort-fp32"]


def test_a_first_write_that_fails_leaves_nothing_at_all(folder, tmp_path):
    with full_disk():
        refused(lambda: write_bundle(folder, artifact(), MANIFEST, ""), "EK702")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_existed_before_stay(folder):
    folder.parent.mkdir(parents=True)
    with full_disk():
        refused(lambda: write_bundle(folder, artifact(), MANIFEST, ""), "EK702")
    assert folder.parent.is_dir()
    assert beside(folder) == []


def test_a_failed_gate_leaves_numbers_and_no_model_file(bundle):
    before = contents(bundle)
    failed = write_failure(bundle, {**MANIFEST, "parity": {"passed": False}}, "<html>")
    assert failed == failure_folder(bundle) == bundle.parent / "ort-fp32.failed"
    assert sorted(contents(failed)) == ["manifest.json", "report.html"]
    assert contents(bundle) == before


def test_a_bundle_that_succeeds_takes_the_failure_before_it_away(bundle):
    write_failure(bundle, MANIFEST, "")
    write_bundle(bundle, artifact(), MANIFEST, "")
    assert beside(bundle) == ["ort-fp32"]


def test_a_folder_of_the_users_that_is_called_like_a_failure_stays(bundle):
    failure_folder(bundle).mkdir()
    (failure_folder(bundle) / "notes.txt").write_text("mine")
    write_bundle(bundle, artifact(), MANIFEST, "")
    assert (failure_folder(bundle) / "notes.txt").read_text() == "mine"


def test_names_that_are_no_text_are_written_as_text_that_every_reader_takes(folder):
    write_bundle(folder, artifact(), {**MANIFEST, "recipe": {"model": "m\udcff"}}, "<html>\udcff")
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["recipe"] == {"model": "m?"}
    assert read_bundle(folder).manifest["recipe"] == {"model": "m?"}


@pytest.mark.parametrize("out", ["a" * 300, "a\0b"])
def test_a_place_whose_name_cannot_be_is_known_before(tmp_path, out):
    refused(lambda: check_writable(tmp_path / out), "EK702")


def test_a_place_that_cannot_be_written_is_known_before_and_nothing_is_made(tmp_path):
    check_writable(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    assert refused(lambda: check_writable(tmp_path / "file" / "build"), "EK702").where == str(tmp_path / "file")


def test_the_manifest_given_is_not_changed(folder):
    manifest = dict(MANIFEST)
    write_bundle(folder, replace(artifact()), manifest, "")
    assert manifest == MANIFEST
