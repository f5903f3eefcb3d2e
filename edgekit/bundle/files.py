"""Bundles: build/<model>/<target>/, a model file with its proof.

Written beside and then renamed, so that none is ever half there; read with every hash checked.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from errno import EEXIST
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.artifact import Artifact, Contract, GoldenImage
from edgekit.errors import EdgekitError
from edgekit.images.preprocess import resampling
from edgekit.registry import Preprocess
from edgekit.target import FloatArray, Outputs, TensorInfo

FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold: the archive's bytes depend on its content alone
FORMAT = 2  # of the bundle: raised when a reader of old ones would misread new ones
CONTRACT_FORMAT = 1  # of contract.json, which apps read
CONTRACT, GOLDEN, LABELS, MANIFEST = "contract.json", "golden.npz", "labels.txt", "manifest.json"
GOLDEN_FOLDER, GOLDEN_TENSORS = "golden", "golden/tensors.npz"
UNREPEATABLE = {"model.ort"}  # ONNX Runtime writes its tables in the order of a hash map: other bytes in each process
REPORT = "report.html"  # holds timings, so it differs from run to run and is not among the hashed files


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


def write_bundle(folder: Path, artifact: Artifact, manifest: dict[str, Any], report: str) -> None:
    """Write a bundle into `folder`, in place of an older one.

    Args:
        manifest: everything but "files", the hashes and sizes of what is written here.
        report: the HTML page.
    """
    files: dict[str, bytes] = {
        manifest["model_file"]: artifact.emitted.data,
        CONTRACT: as_json(contract_document(artifact.contract)),
        GOLDEN: archive(
            {
                "inputs": artifact.golden_inputs,
                **keyed("outputs", artifact.golden_outputs),
                **keyed("reference", artifact.reference_outputs),
            }
        ),
    }
    if artifact.contract.labels:
        files[LABELS] = ("\n".join(artifact.contract.labels) + "\n").encode()
    files |= _golden_files(artifact.golden_images)
    files |= {name: data for name, data in artifact.emitted.beside.items() if name not in UNREPEATABLE}
    hashes = {name: {"sha256": sha256(data), "size_bytes": len(data)} for name, data in files.items()}
    unhashed = {name: data for name, data in artifact.emitted.beside.items() if name in UNREPEATABLE}
    sizes = {name: {"size_bytes": len(data)} for name, data in unhashed.items()}
    complete = {"format": FORMAT, **manifest, "files": hashes, "unhashed_files": sizes}
    _write(folder, {**files, **unhashed, MANIFEST: as_json(complete), REPORT: report.encode()})
    shutil.rmtree(failure_folder(folder), ignore_errors=True)


def write_failure(folder: Path, manifest: dict[str, Any], report: str) -> Path:
    """Write the numbers of a failed gate, and no model file, to <target>.failed/; returns that folder."""
    failed = failure_folder(folder)
    _write(failed, {MANIFEST: as_json({"format": FORMAT, **manifest}), REPORT: report.encode()})
    return failed


def _write(folder: Path, files: dict[str, bytes]) -> None:
    with replacing(folder) as beside:
        for name, data in files.items():
            (beside / name).parent.mkdir(exist_ok=True)
            (beside / name).write_bytes(data)


def _golden_files(images: tuple[GoldenImage, ...]) -> dict[str, bytes]:
    """golden/: the pictures, and one archive of the tensors that belong to them."""
    if not images:
        return {}
    arrays: dict[str, NDArray[Any]] = {f"{image.name}.input": image.stored for image in images}
    for image in images:
        arrays |= keyed(f"{image.name}.outputs", image.outputs)
    pictures = {f"{GOLDEN_FOLDER}/{image.name}.png": image.png for image in images}
    return {**pictures, GOLDEN_TENSORS: archive(arrays)}


def keyed(prefix: str, outputs: Outputs) -> dict[str, NDArray[Any]]:
    """Outputs as entries of an archive: "outputs.boxes"."""
    return {f"{prefix}.{name}": values for name, values in outputs.items()}


def unkeyed(prefix: str, entries: Mapping[str, NDArray[Any]], names: Iterable[str]) -> Outputs:
    """Outputs from the entries of an archive, in the order of `names`.

    The whole name of the entry is asked for: numpy takes the short one of an output `a` for an output `a.npy`.
    """
    return {name: entries[f"{prefix}.{name}.npy"] for name in names}


def _read_golden_images(path: Path, files: dict[str, Any], outputs: Sequence[str]) -> tuple[GoldenImage, ...]:
    if GOLDEN_TENSORS not in files:
        return ()
    with np.load(path / GOLDEN_TENSORS, allow_pickle=False) as tensors:
        # Names of the drawings have no dot; those of outputs may have some.
        names = [stem for stem, _, kind in (name.partition(".") for name in tensors.files) if kind == "input"]
        return tuple(
            GoldenImage(
                name,
                (path / GOLDEN_FOLDER / f"{name}.png").read_bytes(),
                tensors[f"{name}.input"],
                unkeyed(f"{name}.outputs", tensors, outputs),
            )
            for name in names
        )


def contract_document(contract: Contract) -> dict[str, Any]:
    """contract.json as a JSON-ready dict."""
    document = asdict(contract)
    document["format"] = CONTRACT_FORMAT
    document["labels_file"] = LABELS if document.pop("labels") else None
    document["resampling"] = resampling(contract.preprocess)
    document["golden_images"] = f"{GOLDEN_FOLDER}/NAME.png must become NAME.input of {GOLDEN_TENSORS}, bit for bit"
    document["dequantize"] = "real value = scale * (stored - zero_point); a float tensor holds the values themselves"
    return document


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle, or EK102 / EK110 when it is missing, incomplete or changed since it was written."""
    path = Path(path)
    if not path.is_dir():
        raise EdgekitError("EK102", what="no bundle there", where=str(path), fix="name the folder that export printed")
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise _broken(path, f"its format is {manifest['format']}, this edgekit reads {FORMAT}")
        for name in (manifest["model_file"], CONTRACT, GOLDEN):
            if name not in manifest["files"]:
                raise _broken(path, f"{MANIFEST} does not list {name}")
        for name, entry in manifest["files"].items():
            if sha256((path / name).read_bytes()) != entry["sha256"]:
                raise _broken(path, f"{name} was changed after it was written")
        contract = json.loads((path / CONTRACT).read_text(encoding="utf-8"))
        names = [tensor["name"] for tensor in contract["outputs"]]
        with np.load(path / GOLDEN, allow_pickle=False) as golden:
            inputs, outputs, reference = (
                golden["inputs"],
                unkeyed("outputs", golden, names),
                unkeyed("reference", golden, names),
            )
        labels = (path / LABELS).read_text("utf-8").splitlines() if LABELS in manifest["files"] else []
        return Bundle(
            path,
            manifest["target"],
            path / manifest["model_file"],
            contract,
            manifest,
            inputs,
            outputs,
            reference,
            labels=tuple(labels),
            golden_images=_read_golden_images(path, manifest["files"], names),
        )
    except FileNotFoundError as error:
        raise _broken(path, f"{Path(error.filename).name} is missing") from error
    except OSError as error:
        raise _broken(path, f"{Path(error.filename).name} cannot be read: {error.strerror}") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:  # JSONDecodeError is a ValueError
        raise _broken(path, f"a file cannot be read: {error}") from error


def _broken(path: Path, what: str) -> EdgekitError:
    return EdgekitError("EK110", what=what, where=str(path), fix="export it again: edgekit export MODEL --target T")


def failure_folder(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.failed")


def check_writable(out: Path) -> None:
    """EK702 when bundles could not be written under `out`; creates nothing."""
    existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise EdgekitError("EK702", what="cannot write there", where=str(existing), fix="choose another --out DIR")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A fresh folder beside `folder` that takes its place when the block ends, and vanishes when it fails."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    beside = old = None
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise FileExistsError(EEXIST, "something else than a bundle is there", str(folder))
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        yield beside
        beside.chmod(0o755)  # mkdtemp makes it private
        if folder.exists():
            old = folder.rename(beside.with_name(f"{beside.name}-old"))
        beside.rename(folder)
    except OSError as error:
        raise EdgekitError(
            "EK702",
            what=f"cannot write: {error.strerror}",
            where=str(folder),
            fix="free some space, or choose another --out DIR",
        ) from error
    finally:
        if old is not None and not folder.exists():
            old.rename(folder)
        for leftover in filter(None, (beside, old)):
            shutil.rmtree(leftover, ignore_errors=True)
        for parent in missing:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


def archive(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An .npz whose bytes depend on the arrays alone; numpy's own writer stores the time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, array in sorted(arrays.items()):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            zipped.writestr(zipfile.ZipInfo(f"{name}.npy", FIXED_TIME), data.getvalue(), zipfile.ZIP_DEFLATED, 6)
    return stream.getvalue()


def as_json(document: dict[str, Any]) -> bytes:
    """Stable, readable JSON: sorted keys, two spaces, a newline at the end."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
