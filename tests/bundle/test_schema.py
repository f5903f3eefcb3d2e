"""What a bundle says is checked once, whole and before anything is made of it; hashes prove nothing of it."""

import io
import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from edgekit.artifact import Artifact, Contract, ParityReport
from edgekit.bundle.archive import archive, read_archive
from edgekit.bundle.files import read_bundle, sha256
from edgekit.bundle.golden_images import make_golden_images
from edgekit.bundle.schema import Described, Manifest
from edgekit.bundle.write import write_bundle
from edgekit.errors import EdgekitError
from edgekit.registry import Preprocess
from edgekit.target import Emitted, TensorInfo

FEED = Preprocess(resize=8, crop=(8, 8), labels=None)
INPUT = TensorInfo("input", (1, 8, 8, 3), "int8", "NHWC", 0.02, -3)
OUTPUTS = (
    TensorInfo("scores", (1, 4), "int8", "NC", 0.1, 0, "scores"),
    TensorInfo("map", (1, 2, 4, 2), "float32", "NHWC", meaning="values"),
)
MANIFEST = {
    "model_file": "model.tflite",
    "model": "net",
    "target": "tflite-int8",
    "min_runtime": "2.17.0",
    "scheme": {"weight": "int8", "activation": "int8"},
    "android": [
        {
            "name": "litert",
            "runtime": "litert",
            "coordinate": "com.google.ai.edge.litert:litert:1.4.2",
            "loads": "2.17.0",
            "min_sdk": 21,
            "abis": ["arm64-v8a"],
            "page_size": 16384,
        }
    ],
}


def run(images):
    mean = images.mean((2, 3))
    return {"scores": np.concatenate([mean, mean[:, :1]], 1), "map": images[:, :2, ::4, ::2][:, :, :2, :4]}


@pytest.fixture
def bundle(tmp_path):
    inputs = np.zeros((2, 3, 8, 8), np.float32)
    made = Artifact(
        "tflite-int8",
        Emitted(b"the file", (INPUT,), OUTPUTS, {}),
        Contract((INPUT,), OUTPUTS, FEED, (), ("a", "b", "c", "d")),
        ParityReport((), 2, "noise"),
        inputs,
        run(inputs),
        run(inputs),
        golden_images=make_golden_images(FEED, INPUT, run),
    )
    write_bundle(tmp_path / "b", made, MANIFEST, "")
    return tmp_path / "b"


def put(bundle, name, data):
    """Another content of a file, with the hash in the manifest brought up to date."""
    (bundle / name).write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": sha256(data), "size_bytes": len(data)}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def change(bundle, document, path, value):
    """Another value at a path of keys in one of the documents."""
    changed = at = json.loads((bundle / document).read_text())
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    data = json.dumps(changed).encode()
    if document == "manifest.json":
        (bundle / document).write_bytes(data)
    else:
        put(bundle, document, data)


def broken(bundle):
    with pytest.raises(EdgekitError) as raised:
        read_bundle(bundle)
    assert raised.value.code == "EK110"
    assert raised.value.where == str(bundle)
    return raised.value.what


def test_what_edgekit_writes_has_the_form(bundle):
    found = read_bundle(bundle)
    assert found.preprocess == FEED
    assert (found.input, found.output_tensors) == (INPUT, OUTPUTS)
    assert [image.name for image in found.golden_images] == ["grey", "landscape", "transparent", "upscaled"]


@pytest.mark.parametrize("document", ["manifest.json", "contract.json"])
def test_a_bundle_without_something_that_is_read_of_it_is_refused_and_not_half_used(bundle, document):
    """Every key is needed or read only where it is there: no KeyError waits behind read_bundle."""
    written = json.loads((bundle / document).read_text())
    optional = {"manifest.json": {"unhashed_files", "android"}, "contract.json": {"labels_file"}}[document]
    needed = {"manifest.json": Manifest, "contract.json": Described}[document].__dataclass_fields__.keys() - optional
    for key in needed & written.keys():
        data = json.dumps({name: value for name, value in written.items() if name != key}).encode()
        if document == "manifest.json":
            (bundle / document).write_bytes(data)
        else:
            put(bundle, document, data)
        assert key in broken(bundle) or key == "format"
        (bundle / document).write_text(json.dumps(written))


@pytest.mark.parametrize("key", ["resize", "crop", "mean", "std"])
def test_a_contract_that_does_not_say_its_preprocessing_is_refused(bundle, key):
    written = json.loads((bundle / "contract.json").read_text())
    del written["preprocess"][key]
    put(bundle, "contract.json", json.dumps(written).encode())
    assert f"preprocess.{key}" in broken(bundle)


CODE = '1).also { Runtime.getRuntime().exec("id") }, x = (0'
CONTRACT_FAULTS = [
    (("inputs",), []),
    (("inputs",), "x"),
    (("inputs", 0), None),
    (("inputs", 0, "shape", 1), CODE),
    (("inputs", 0, "shape", 1), 8.5),
    (("inputs", 0, "shape", 1), True),
    (("inputs", 0, "shape"), [1, 3, 8]),
    (("inputs", 0, "shape"), [1, 1 << 20, 1 << 20, 3]),
    (("inputs", 0, "shape"), [1, 8, 8, -3]),
    (("inputs", 0, "dtype"), "object"),
    (("inputs", 0, "layout"), "HWC"),
    (("inputs", 0, "scale"), 0),
    (("inputs", 0, "scale"), -1.0),
    (("inputs", 0, "scale"), float("nan")),
    (("inputs", 0, "scale"), float("inf")),
    (("inputs", 0, "scale"), "0.1"),
    (("inputs", 0, "zero_point"), CODE),
    (("inputs", 0, "zero_point"), 1 << 40),
    (("inputs", 0, "further"), 1),
    (("outputs", 0, "name"), 5),
    (("outputs", 0, "name"), "map"),
    (("outputs", 0, "meaning"), "anything"),
    (("outputs",), []),
    (("preprocess",), []),
    (("preprocess", "resize"), CODE),
    (("preprocess", "resize"), 0),
    (("preprocess", "resize"), 1 << 40),
    (("preprocess", "crop"), [8]),
    (("preprocess", "crop"), [8, CODE]),
    (("preprocess", "crop"), [8, 0]),
    (("preprocess", "mean"), [0.1]),
    (("preprocess", "std"), [0.1, 0.1, 0]),
    (("preprocess", "std"), [0.1, 0.1, float("nan")]),
    (("preprocess", "interpolation"), "nearest"),
    (("preprocess", "channel_order"), "BRG"),
    (("preprocess", "further"), 1),
    (("labels_file",), "../labels.txt"),
]


@pytest.mark.parametrize(("path", "value"), CONTRACT_FAULTS)
def test_a_contract_of_another_form_names_the_field(bundle, path, value):
    change(bundle, "contract.json", path, value)
    said = broken(bundle)
    assert said.startswith("contract.json: ")
    assert path[0] in said


MANIFEST_FAULTS = [
    (("format",), 1),
    (("format",), "2"),
    (("model",), 5),
    (("model",), "m\n*/ import x"),
    (("model",), "../m"),
    (("target",), 'x", exec("id")'),
    (("target",), None),
    (("model_file",), "m/m.tflite"),
    (("model_file",), '";val p=1;"'),
    (("model_file",), ".hidden"),
    (("files",), []),
    (("files", "../secret"), {"sha256": "0" * 64, "size_bytes": 1}),
    (("files", "/etc/passwd"), {"sha256": "0" * 64, "size_bytes": 1}),
    (("files", "golden/../../x"), {"sha256": "0" * 64, "size_bytes": 1}),
    (("files", "a\nb"), {"sha256": "0" * 64, "size_bytes": 1}),
    (("files", "model.tflite"), "0" * 64),
    (("files", "model.tflite", "sha256"), "0"),
    (("files", "model.tflite", "size_bytes"), -1),
    (("files", "model.tflite", "size_bytes"), "8"),
    (("unhashed_files",), {"../x": {"size_bytes": 1}}),
    (("min_runtime",), "2.17; rm"),
    (("scheme",), {"weight": "int4", "activation": "int8"}),
    (("scheme",), "int8"),
    (("android",), [1, 16, 16, 3]),
    (("android", 0, "coordinate"), 'a:b:1")\n    exec { commandLine("touch", "PWNED") }\n    api("c:d:1'),
    (("android", 0, "abis"), ['x", "y']),
    (("android", 0, "min_sdk"), "21; exec()"),
    (("android", 0, "loads"), "new"),
    (("android", 0, "runtime"), "../kotlin"),
    (("android", 0, "page_size"), 0),
    (("android", 0, "name"), "a b"),
]


@pytest.mark.parametrize(("path", "value"), MANIFEST_FAULTS)
def test_a_manifest_of_another_form_is_refused(bundle, path, value):
    change(bundle, "manifest.json", path, value)
    said = broken(bundle)
    assert any(str(part)[:8] in said for part in path)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 9999]
)
@pytest.mark.parametrize("document", ["manifest.json", "contract.json"])
def test_a_document_that_is_no_json_object_is_refused(bundle, document, data):
    if document == "contract.json":
        put(bundle, document, data)
    else:
        (bundle / document).write_bytes(data)
    assert document in broken(bundle)


@pytest.mark.parametrize("name", ["model.tflite", "contract.json", "golden/grey.png", "manifest.json"])
def test_a_link_that_leads_out_of_the_bundle_is_refused(bundle, tmp_path, name):
    shutil.move(bundle / name, tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert broken(bundle) == f"{name} is a link that leads out of the bundle"


def test_a_bundle_may_itself_be_reached_over_a_link(bundle, tmp_path):
    (tmp_path / "latest").symlink_to(bundle)
    assert read_bundle(tmp_path / "latest").target == "tflite-int8"


@pytest.mark.parametrize("name", ["model.tflite", "manifest.json"])
def test_a_pipe_in_a_bundle_is_not_read(bundle, name):
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    assert "a pipe is there" in broken(bundle)


def test_a_file_that_grew_is_refused_before_it_is_read(bundle):
    with (bundle / "model.tflite").open("ab") as file:
        file.truncate(1 << 42)
    assert broken(bundle) == "model.tflite was changed after it was written"


def arrays(bundle, name):
    return read_archive((bundle / name).read_bytes())


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("golden.npz", "inputs", None),
        ("golden.npz", "inputs", np.zeros((2, 3, 8, 9), np.float32)),
        ("golden.npz", "inputs", np.zeros((2, 3, 8, 8), np.float64)),
        ("golden.npz", "inputs", np.zeros((3, 3, 8, 8), np.float32)),
        ("golden.npz", "outputs.scores", np.zeros((2, 5), np.float32)),
        ("golden.npz", "outputs.scores", np.float32(1)),
        ("golden.npz", "outputs.map", np.zeros((2, 4, 2, 2), np.float32)),
        ("golden.npz", "outputs.map", None),
        ("golden.npz", "reference.scores", np.zeros((0, 4), np.float32)),
        ("golden/tensors.npz", "grey.input", np.zeros((1, 8, 8, 3), np.uint8)),
        ("golden/tensors.npz", "grey.input", np.zeros((8, 8, 3), np.int8)),
        ("golden/tensors.npz", "grey.outputs.map", None),
        ("golden/tensors.npz", "../../../pwned.input", np.zeros((1, 8, 8, 3), np.int8)),
        ("golden/tensors.npz", "/tmp/pwned.input", np.zeros((1, 8, 8, 3), np.int8)),
        ("golden/tensors.npz", "unlisted.input", np.zeros((1, 8, 8, 3), np.int8)),
    ],
)
def test_arrays_that_do_not_fit_the_contract_are_refused(bundle, name, key, value):
    changed = arrays(bundle, name)
    changed.pop(key, None)
    put(bundle, name, archive(changed if value is None else {**changed, key: value}))
    broken(bundle)


def packed(name, data, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as zipped:
        zipped.writestr(name, data)
    return stream.getvalue()


def header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


ARCHIVES = {
    "no archive": b"x" * 100,
    "no array": packed("inputs.npy", b"hello"),
    "a text file": packed("notes.txt", b"hello"),
    "a pickle": packed("inputs.npy", header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"\x80\x04N."),
    "a huge shape": packed("inputs.npy", header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({1 << 50},)}}")),
    "a negative shape": packed("inputs.npy", header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}")),
    "code for a header": packed("inputs.npy", header("__import__('os').system('touch pwned')")),
    "damaged LZMA": packed("inputs.npy", bytes(1000), zipfile.ZIP_LZMA).replace(b"\x5d\x00", b"\xff\xff"),
    "a damaged stream": packed("inputs.npy", os.urandom(4000))[:2000],
}


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=ARCHIVES)
@pytest.mark.parametrize("name", ["golden.npz", "golden/tensors.npz"])
def test_an_archive_of_anything_else_is_refused(bundle, name, data):
    put(bundle, name, data)
    assert name in broken(bundle)


def test_an_archive_that_would_fill_the_memory_is_not_unpacked():
    bomb = bytearray(packed("inputs.npy", bytes(1 << 20)))
    at = bomb.rindex(b"PK\x01\x02") + 24
    bomb[at : at + 4] = (0xF0000000).to_bytes(4, "little")
    with pytest.raises(ValueError, match="unpacks to"):
        read_archive(bytes(bomb))


def test_arrays_come_back_as_they_were():
    given = {
        "a": np.arange(6, dtype=np.int16).reshape(2, 3),
        "b.c": np.ones((1, 2), np.float32),
        "d": np.zeros((0, 2), np.bool_),
    }
    found = read_archive(archive(given))
    assert found.keys() == given.keys()
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def picture(mode, size):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\n", picture("RGB", (80, 80))[:-40], picture("1", (8, 8)), b"GIF89a" + bytes(99)],
    ids=["nothing", "a head", "cut", "of one bit", "no PNG"],
)
def test_a_golden_picture_that_cannot_be_decoded_is_named(bundle, data):
    put(bundle, "golden/grey.png", data)
    assert "golden/grey.png cannot be decoded" in broken(bundle)


def test_the_documents_are_given_as_they_were_written(bundle):
    manifest, contract = (json.loads((bundle / name).read_text()) for name in ("manifest.json", "contract.json"))
    found = read_bundle(bundle)
    assert (found.manifest, found.contract) == (manifest, contract)
