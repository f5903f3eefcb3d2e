"""Bundles: build/<model>/<target>/, a model file with its proof; read with every hash and every form checked."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgekit.artifact import GoldenImage
from edgekit.bundle.archive import read_archive, unkeyed
from edgekit.bundle.golden_images import check_picture
from edgekit.bundle.layout import CONTRACT, GOLDEN, GOLDEN_FOLDER, GOLDEN_TENSORS, LABELS, MANIFEST
from edgekit.bundle.schema import PLAIN_NAME, check_contract, check_manifest
from edgekit.errors import EdgekitError
from edgekit.files import GIGABYTE, is_folder, read_regular, status
from edgekit.registry import Preprocess
from edgekit.target import FloatArray, Outputs, TensorInfo

LARGEST_DOCUMENT = 1 << 26  # bytes
LARGEST_FILE = 8 * GIGABYTE


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and whose hashes hold.

    Args:
        model_file: the .tflite or .onnx file.
        inputs: f32[n, C, H, W]; outputs: of the file; reference: of the float model.
    """

    path: Path
    target: str
    model_file: Path
    contract: dict[str, Any]
    manifest: dict[str, Any]
    inputs: FloatArray = field(repr=False)
    outputs: Outputs = field(repr=False)
    reference: Outputs = field(repr=False)
    labels: tuple[str, ...] = ()
    golden_images: tuple[GoldenImage, ...] = field(repr=False, default=())

    @property
    def preprocess(self) -> Preprocess:
        """What turns an image into the file's input, but for its layout and dtype."""
        described: dict[str, Any] = self.contract["preprocess"]
        lists: dict[str, Any] = {key: tuple(described[key]) for key in ("crop", "mean", "std")}
        return Preprocess(**{**described, **lists})

    @property
    def input(self) -> TensorInfo:
        return _tensor(self.contract["inputs"][0])

    @property
    def output_tensors(self) -> tuple[TensorInfo, ...]:
        """What the file gives, as it stores it."""
        return tuple(_tensor(described) for described in self.contract["outputs"])

    @property
    def scores(self) -> TensorInfo | None:
        """The output that holds the scores of classes; None where there are no classes."""
        return next((tensor for tensor in self.output_tensors if tensor.meaning == "scores"), None)


def _tensor(described: dict[str, Any]) -> TensorInfo:
    return TensorInfo(**{**described, "shape": tuple(described["shape"])})


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle whose hashes hold and whose documents and arrays have the form that they must have.

    Raises:
        EdgekitError: EK102 where there is none, EK110 when it is incomplete, was changed since it was written, or says
            something that cannot be.
    """
    path = Path(path)
    while True:
        if not is_folder(path, "the bundle"):
            fix = "name the folder that export printed"
            raise EdgekitError("EK102", what="no bundle there", where=str(path), fix=fix)
        before = status(path, "the bundle")
        try:
            return _read(path)
        except ValueError as error:
            now = status(path, "the bundle")
            if before and now and before.st_ino != now.st_ino:
                continue  # an export put a newer one there meanwhile
            raise _broken(path, str(error)) from error


def _read(path: Path) -> Bundle:
    """As `read_bundle`; what is wrong as a ValueError."""
    manifest = check_manifest(_contents(path, MANIFEST, LARGEST_DOCUMENT))
    kept = {name: data for name, data in _hashed(path, manifest) if name != manifest["model_file"]}
    contract, described = check_contract(kept[CONTRACT])
    golden = _arrays(GOLDEN, kept[GOLDEN])
    outputs, reference = (_golden_outputs(golden, kind, described.outputs) for kind in ("outputs", "reference"))
    inputs = golden.get("inputs", np.empty(0))
    count = len(next(iter(outputs.values())))
    _check_array(f"{GOLDEN}: inputs", inputs, np.float32, real_shape(described.inputs[0]), count)
    return Bundle(
        path,
        manifest["target"],
        path / manifest["model_file"],
        contract,
        manifest,
        inputs,
        outputs,
        reference,
        labels=_labels(kept),
        golden_images=_golden_images(kept, described.inputs[0], described.outputs),
    )


def _hashed(path: Path, manifest: Mapping[str, Any]) -> Any:
    """(name, bytes) of every file that the manifest lists, each as it was when it was written."""
    for name, entry in manifest["files"].items():
        data = _contents(path, name, min(entry["size_bytes"], LARGEST_FILE))
        if sha256(data) != entry["sha256"]:
            raise ValueError(f"{name} was changed after it was written")
        yield name, data


def _contents(path: Path, name: str, limit_bytes: int) -> bytes:
    """The bytes of one of the bundle's own files."""
    file = path / name
    if not os.path.lexists(file):
        raise ValueError(f"{name} is missing")
    if os.path.commonpath((os.path.realpath(file), os.path.realpath(path))) != os.path.realpath(path):
        raise ValueError(f"{name} is a link that leads out of the bundle")
    try:
        found = status(file, name)
        if found is not None and name != MANIFEST and found.st_size > limit_bytes:
            raise ValueError(f"{name} was changed after it was written")
        return read_regular(file, limit_bytes, name)
    except EdgekitError as error:
        raise ValueError(error.what) from error


def _labels(files: Mapping[str, bytes]) -> tuple[str, ...]:
    try:
        return tuple(files.get(LABELS, b"").decode().splitlines())
    except UnicodeDecodeError as error:
        raise ValueError(f"{LABELS} is not text: {error}") from error


def _arrays(name: str, data: bytes) -> dict[str, NDArray[Any]]:
    try:
        return read_archive(data)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _golden_outputs(golden: Mapping[str, NDArray[Any]], kind: str, tensors: Sequence[TensorInfo]) -> Outputs:
    try:
        outputs = unkeyed(kind, golden, [tensor.name for tensor in tensors])
    except ValueError as error:
        raise ValueError(f"{GOLDEN}: {error}") from error
    count = len(outputs[tensors[0].name]) if outputs[tensors[0].name].ndim else 0
    for tensor in tensors:
        found = outputs[tensor.name]
        _check_array(f"{GOLDEN}: {kind}.{tensor.name}", found, real_dtype(tensor), real_shape(tensor), count)
    return outputs


def _check_array(name: str, array: NDArray[Any], dtype: DTypeLike, shape: tuple[int, ...], count: int) -> None:
    """That it is dtype[count, *shape], for one vector at least: f32, or i64 for indices of classes and booleans."""
    if count < 1 or array.dtype != dtype or array.shape != (count, *shape):
        raise ValueError(
            f"{name} is {array.dtype} {list(array.shape)}, not {np.dtype(dtype)} {[max(count, 1), *shape]}"
        )


def real_dtype(tensor: TensorInfo) -> DTypeLike:
    """Of an output's values: i64 for indices of classes and booleans."""
    return np.float32 if tensor.scale is not None or "float" in tensor.dtype else np.int64


def real_shape(tensor: TensorInfo) -> tuple[int, ...]:
    """Of one image's values: axes in ONNX order, without a batch axis of 1."""
    shape = tensor.shape
    if tensor.layout == "NHWC":
        shape = (shape[0], shape[3], shape[1], shape[2])
    return shape[1:] if shape[:1] == (1,) else shape


def _golden_images(
    files: Mapping[str, bytes], taken: TensorInfo, given: Sequence[TensorInfo]
) -> tuple[GoldenImage, ...]:
    if GOLDEN_TENSORS not in files:
        return ()
    tensors = _arrays(GOLDEN_TENSORS, files[GOLDEN_TENSORS])
    # Names of the drawings have no dot; those of outputs may have some.
    stems = [stem for stem, _, kind in (name.partition(".") for name in tensors) if kind == "input"]
    parts = ("input", *(f"outputs.{tensor.name}" for tensor in given))
    if stray := tensors.keys() - {f"{stem}.{part}" for stem in stems for part in parts}:
        raise ValueError(f"{GOLDEN_TENSORS}: {min(stray)[:100]!r} belongs to no picture")
    return tuple(_golden_image(stem, files, tensors, taken, given) for stem in stems)


def _golden_image(
    stem: str,
    files: Mapping[str, bytes],
    tensors: Mapping[str, NDArray[Any]],
    taken: TensorInfo,
    given: Sequence[TensorInfo],
) -> GoldenImage:
    picture = f"{GOLDEN_FOLDER}/{stem}.png"
    if not PLAIN_NAME.fullmatch(stem):
        raise ValueError(f"{GOLDEN_TENSORS}: {stem[:100]!r} is no plain file name")
    if picture not in files:
        raise ValueError(f"{MANIFEST} does not list {picture}")
    check_picture(picture, files[picture])
    stored = tensors[f"{stem}.input"]
    if (stored.dtype, stored.shape) != (np.dtype(taken.dtype), taken.shape):
        raise ValueError(f"{GOLDEN_TENSORS}: {stem}.input is not as the contract says")
    outputs = unkeyed(f"{stem}.outputs", tensors, [tensor.name for tensor in given])
    for tensor in given:
        found = outputs[tensor.name][None]
        _check_array(
            f"{GOLDEN_TENSORS}: {stem}.outputs.{tensor.name}", found, real_dtype(tensor), real_shape(tensor), 1
        )
    return GoldenImage(stem, files[picture], stored, outputs)


def _broken(path: Path, what: str) -> EdgekitError:
    return EdgekitError("EK110", what=what, where=str(path), fix="export it again: edgekit export MODEL --target T")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
