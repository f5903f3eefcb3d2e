"""Writing a bundle: everything at once, in place of an older one."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit.artifact import Artifact, Contract, GoldenImage
from edgekit.bundle.archive import archive, keyed
from edgekit.bundle.files import sha256
from edgekit.bundle.layout import (
    CONTRACT,
    CONTRACT_FORMAT,
    FORMAT,
    GOLDEN,
    GOLDEN_FOLDER,
    GOLDEN_TENSORS,
    LABELS,
    MANIFEST,
    REPORT,
    UNREPEATABLE,
)
from edgekit.bundle.replace import remove_folder, replace_folder
from edgekit.errors import EdgekitError
from edgekit.images.preprocess import resampling


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
    replace_folder(folder, {**files, **unhashed, MANIFEST: as_json(complete), REPORT: as_text(report)})
    remove_folder(failure_folder(folder))


def write_failure(folder: Path, manifest: dict[str, Any], report: str) -> Path:
    """Write the numbers of a failed gate, and no model file, to <target>.failed/; returns that folder."""
    failed = failure_folder(folder)
    replace_folder(failed, {MANIFEST: as_json({"format": FORMAT, **manifest}), REPORT: as_text(report)})
    return failed


def _golden_files(images: tuple[GoldenImage, ...]) -> dict[str, bytes]:
    """golden/: the pictures, and one archive of the tensors that belong to them."""
    if not images:
        return {}
    arrays: dict[str, NDArray[Any]] = {f"{image.name}.input": image.stored for image in images}
    for image in images:
        arrays |= keyed(f"{image.name}.outputs", image.outputs)
    pictures = {f"{GOLDEN_FOLDER}/{image.name}.png": image.png for image in images}
    return {**pictures, GOLDEN_TENSORS: archive(arrays)}


def contract_document(contract: Contract) -> dict[str, Any]:
    """contract.json as a JSON-ready dict."""
    document = asdict(contract)
    document["format"] = CONTRACT_FORMAT
    document["labels_file"] = LABELS if document.pop("labels") else None
    document["resampling"] = resampling(contract.preprocess)
    document["golden_images"] = f"{GOLDEN_FOLDER}/NAME.png must become NAME.input of {GOLDEN_TENSORS}, bit for bit"
    document["dequantize"] = "real value = scale * (stored - zero_point); a float tensor holds the values themselves"
    return document


def failure_folder(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.failed")


def check_writable(out: Path) -> None:
    """EK702 when bundles could not be written under `out`; creates nothing."""
    try:
        existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if _is_there(folder))
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise EdgekitError(
            "EK702", what=f"cannot write there: {reason}", where=str(out), fix="choose another --out DIR"
        ) from error
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise EdgekitError("EK702", what="cannot write there", where=str(existing), fix="choose another --out DIR")


def _is_there(path: Path) -> bool:
    """Whether something lies at a path; unlike Path.exists, an OSError for a path that cannot be."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def as_json(document: dict[str, Any]) -> bytes:
    """Stable, readable JSON: sorted keys, two spaces, a newline at the end."""
    return as_text(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def as_text(text: str) -> bytes:
    """UTF-8, whatever is in it: of a file's name that is none, each byte is a `?`, which every JSON reader takes."""
    return text.encode(errors="replace")
