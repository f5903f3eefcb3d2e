"""The forms of manifest.json and contract.json: what a bundle says is checked once, here, and is true afterwards.

A bundle may come from anywhere, and its hashes prove only that nobody changed it by accident. So types, bounds and
names are looked at before anything is opened, allocated or generated from them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from edgekit.bundle.layout import CONTRACT, FORMAT, GOLDEN, LABELS, MANIFEST
from edgekit.registry import Preprocess
from edgekit.target import AndroidLibrary, QuantScheme, TensorInfo

STRICT = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")
EXACT = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
"""Of a file in a bundle: no path, nothing hidden, nothing that a shell, Gradle or Kotlin reads as anything else."""
MODEL_NAME = re.compile(r"[\w.-]{1,255}")
"""As edgekit makes a folder's name of a model's."""
VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")
COORDINATE = re.compile(r"[A-Za-z0-9_.-]{1,200}:[A-Za-z0-9_.-]{1,200}:[A-Za-z0-9_.+-]{1,100}")
SHA256 = re.compile(r"[0-9a-f]{64}")
DTYPES = frozenset(("float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool"))
MOST_AXES = 8
MOST_ELEMENTS = 1 << 28  # a gigabyte of float32: more than any image in or map out
LARGEST_SIDE = 1 << 15  # pixels


@dataclass(frozen=True, slots=True)
class Listed:
    """One file in the manifest."""

    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ListedNode:
    """One operator of the model file."""

    operator: str
    module: str


@checked_dataclass(frozen=True, config=STRICT)
class Manifest:
    """What edgekit reads of a manifest; the rest is for people."""

    format: int
    model: str
    target: str
    model_file: str
    files: dict[str, Listed]
    min_runtime: str
    scheme: QuantScheme
    unhashed_files: dict[str, Listed] = field(default_factory=dict)
    android: tuple[AndroidLibrary, ...] | None = None
    nodes: tuple[ListedNode, ...] = ()


# What a contract must say of the preprocessing: a default in its place would be a guess at how the file was proven.
SAID = ("resize", "crop", "mean", "std")


@checked_dataclass(frozen=True, config=EXACT)
class Described:
    """What edgekit reads of a contract."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    preprocess: Preprocess
    labels_file: str | None = None


def check_manifest(data: bytes) -> dict[str, Any]:
    """The document of a manifest whose form holds.

    Raises:
        ValueError: what is wrong, and at which field.
    """
    document = parsed(MANIFEST, data)
    if document.get("format") != FORMAT:
        raise ValueError(f"its format is {str(document.get('format'))[:20]}, this edgekit reads {FORMAT}")
    manifest = _formed(MANIFEST, TypeAdapter(Manifest), document)
    for fault in _manifest_faults(manifest):
        raise ValueError(f"{MANIFEST}: {fault}")
    return document


def check_contract(data: bytes) -> tuple[dict[str, Any], Described]:
    """The document of a contract whose form holds, and what edgekit reads of it; ValueError as `check_manifest`."""
    document = parsed(CONTRACT, data)
    known: dict[str, Any] = {
        name: document[name] for name in ("inputs", "outputs", "preprocess", "labels_file") if name in document
    }
    described = _formed(CONTRACT, TypeAdapter(Described), known)
    for name in SAID:
        if name not in document["preprocess"]:
            raise ValueError(f"{CONTRACT}: preprocess.{name}: field required")
    for fault in _contract_faults(described):
        raise ValueError(f"{CONTRACT}: {fault}")
    return document, described


def parsed(name: str, data: bytes) -> dict[str, Any]:
    """A JSON object; ValueError for anything else."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON: {str(error)[:100]}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{name} is no JSON object")
    return document


def _formed(name: str, form: TypeAdapter[Any], document: dict[str, Any]) -> Any:
    try:
        # Through JSON once more: only there are lists tuples and objects dataclasses, with no other type let through.
        return form.validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part)[:60] for part in first["loc"]) or "the whole"
        raise ValueError(f"{name}: {path}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error


def _manifest_faults(manifest: Manifest) -> Iterator[str]:
    for table, entries in (("files", manifest.files), ("unhashed_files", manifest.unhashed_files)):
        for name, entry in entries.items():
            if not is_plain_path(name):
                yield f"{table}: {name[:100]!r} is no plain file name"
            if entry.size_bytes < 0:
                yield f"{table}.{name}.size_bytes: a size is not negative"
    for name, entry in manifest.files.items():
        if not SHA256.fullmatch(entry.sha256):
            yield f"files.{name}.sha256: 64 hexadecimal digits"
    if not MODEL_NAME.fullmatch(manifest.model):
        yield "model: letters, digits, dots, dashes and underscores"
    if not PLAIN_NAME.fullmatch(manifest.target):
        yield "target: letters, digits, dots and dashes"
    if not PLAIN_NAME.fullmatch(manifest.model_file):
        yield f"model_file: {manifest.model_file[:100]!r} is no plain file name"
    for name in (manifest.model_file, CONTRACT, GOLDEN):
        if name not in manifest.files:
            yield f"it does not list {name}"
    if manifest.min_runtime and not VERSION.fullmatch(manifest.min_runtime):
        yield "min_runtime: numbers with dots between"
    for i, library in enumerate(manifest.android or ()):
        yield from (f"android.{i}.{fault}" for fault in _library_faults(library))


def _library_faults(library: AndroidLibrary) -> Iterator[str]:
    if not COORDINATE.fullmatch(library.coordinate):
        yield "coordinate: group:artifact:version"
    for field_name, name in (("name", library.name), ("runtime", library.runtime)):
        if not PLAIN_NAME.fullmatch(name):
            yield f"{field_name}: letters, digits, dots and dashes"
    if not VERSION.fullmatch(library.loads):
        yield "loads: numbers with dots between"
    if not all(PLAIN_NAME.fullmatch(abi) for abi in library.abis):
        yield "abis: letters, digits and dashes"
    if not 1 <= library.min_sdk <= 1000:
        yield "min_sdk: an API level"
    if not 1024 <= library.page_size <= 1 << 24:
        yield "page_size: bytes"


def _contract_faults(described: Described) -> Iterator[str]:
    for side, tensors in (("inputs", described.inputs), ("outputs", described.outputs)):
        if not tensors:
            yield f"{side}: at least one tensor"
        if len({tensor.name for tensor in tensors}) < len(tensors):
            yield f"{side}: two tensors of one name"
        for i, tensor in enumerate(tensors):
            yield from (f"{side}.{i}.{fault}" for fault in _tensor_faults(tensor))
    yield from (f"preprocess.{fault}" for fault in _preprocess_faults(described.preprocess))
    if described.labels_file not in (None, LABELS):
        yield f"labels_file: {LABELS}, or nothing"


def _tensor_faults(tensor: TensorInfo) -> Iterator[str]:
    if tensor.dtype not in DTYPES:
        yield f"dtype: one of {', '.join(sorted(DTYPES))}"
    if len(tensor.shape) > MOST_AXES or any(size < 0 for size in tensor.shape) or prod(tensor.shape) > MOST_ELEMENTS:
        yield f"shape: at most {MOST_AXES} sizes, none negative, and at most {MOST_ELEMENTS} values"
    if tensor.layout in ("NCHW", "NHWC") and len(tensor.shape) != 4:
        yield f"shape: {tensor.layout} has four sizes"
    if tensor.scale is not None and not (tensor.scale > 0 and "int" in tensor.dtype):
        yield "scale: greater than 0, of integers only"
    if tensor.zero_point is not None and not -32768 <= tensor.zero_point <= 65535:
        yield "zero_point: a stored value"


def _preprocess_faults(preprocess: Preprocess) -> Iterator[str]:
    if not 1 <= preprocess.resize <= LARGEST_SIDE:
        yield f"resize: 1 to {LARGEST_SIDE} pixels"
    if not all(1 <= side <= LARGEST_SIDE for side in preprocess.crop):
        yield f"crop: 1 to {LARGEST_SIDE} pixels"
    if not preprocess.mean or len(preprocess.mean) != len(preprocess.std):
        yield "std: as many values as mean has"
    if not all(std > 0 for std in preprocess.std):
        yield "std: greater than 0"


def is_plain_path(name: str) -> bool:
    """Whether it is a file's name, perhaps in one folder, of plain characters, and stays where it is."""
    parts = name.split("/")
    return len(parts) <= 2 and all(PLAIN_NAME.fullmatch(part) for part in parts)
