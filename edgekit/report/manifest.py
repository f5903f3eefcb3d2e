"""manifest.json: everything that decided a file's bytes and everything that was measured on it.

No time of day and no path of this machine goes in: the same recipe gives the same manifest anywhere.
"""

from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from edgekit.artifact import Artifact, ParityReport, hop_document
from edgekit.environment import versions
from edgekit.graph.fingerprint import constants_sha256
from edgekit.passes import FOR_INTEGERS
from edgekit.recipe import Recipe
from edgekit.report.quantization import quantization_document
from edgekit.run import Run
from edgekit.target import Delegation, targets

SOURCE_KINDS = ("timm:", "torchvision:")


def make_manifest(run: Run, artifact: Artifact) -> dict[str, Any]:
    """The manifest of one artifact, but for its "files", which the bundle's writer hashes."""
    target = targets.get(artifact.target)
    integers = target.scheme.needs_calibration
    return {
        "model": run.source.name,
        "target": artifact.target,
        "model_file": target.model_file,
        "min_runtime": artifact.emitted.min_runtime or target.min_runtime,
        "android": [asdict(library) for library in target.runtime.android],
        "input_shape": list(run.source.input_shape),
        "scheme": asdict(target.scheme),
        "weights": {"name": file_name(run.source.weights), "sha256": run.source.weights_sha256},
        "notes": list(run.source.notes),
        "calibration": calibration_document(run) if integers else None,
        "quantization": quantization_document(run, artifact.target),
        "recipe": recipe_document(run.recipe),
        "passes": passes(run, integers),
        "prepared": run.floats.prepared or None,
        "traced_sha256": constants_sha256(run.floats.traced),
        "seed": run.recipe.seed,
        "parity": parity_document(artifact.parity),
        "operators": artifact.emitted.operators,
        "nodes": [{"operator": node.operator, "module": node.module} for node in artifact.emitted.nodes],
        "delegation": delegation_document(artifact.delegation),
        "versions": versions(*(package.distribution for package in target.runtime.packages)),
    }


def passes(run: Run, integers: bool) -> list[str]:
    """Names of the passes in order; none runs on a graph that was quantized already."""
    further = FOR_INTEGERS if integers and run.floats.passes else ()
    return [*run.floats.passes, *(step.__name__ for step in further)]


def recipe_document(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what only this machine knows: files by name (their hashes stand elsewhere), and no `out`."""
    document = recipe.document()
    del document["out"]
    for key in ("model", "weights", "calibration", "labels", "eval"):
        if document[key] is not None:
            document[key] = file_name(document[key])
    return document


def file_name(text: str) -> str:
    """`../data/net.pth` -> `net.pth`; names that are no path stay as they are."""
    return text if text.startswith(SOURCE_KINDS) else PurePath(text).name or text


def calibration_document(run: Run) -> dict[str, Any] | None:
    used = run.images.calibration
    if used is None:
        return None
    return {
        "images": used.count,
        "description": used.description,
        "sha256": used.sha256,
        **({"names": list(used.folder.names)} if used.folder else {}),
    }


def parity_document(parity: ParityReport) -> dict[str, Any]:
    return {
        "images": parity.images,
        "inputs": parity.inputs,
        "passed": parity.first_failure is None,
        "hops": [hop_document(hop) for hop in parity.hops],
    }


def delegation_document(delegation: Delegation | None) -> dict[str, Any] | None:
    return None if delegation is None else asdict(delegation)
