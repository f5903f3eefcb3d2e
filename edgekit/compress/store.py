"""Writing a compressed model: a folder that `edgekit export DIR` takes."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgekit import __version__
from edgekit.bundle.replace import check_replaceable, replace_folder
from edgekit.compress.preparation import Compressed
from edgekit.errors import EdgekitError
from edgekit.profile import Counts, count
from edgekit.recipe import Recipe
from edgekit.source import Source
from edgekit.source.compressed import FORMAT, KIND, MANIFEST, MODEL
from edgekit.source.graph_module import GraphModule

LARGEST_BYTES = 2**31 - 2**24


def check_place(out: Path, model: str) -> None:
    """EK702 where something else is in the place; EK106 where it is the folder that is read."""
    if out.resolve() == Path(model).resolve():
        raise EdgekitError(
            "EK106",
            what="the compressed model would take the place of the one that it is made of",
            where="--out",
            fix="give another folder",
        )
    check_replaceable(out, "compressed model")


def write(out: Path, recipe: Recipe, source: Source, compressed: Compressed, extra: dict[str, Any]) -> dict[str, Any]:
    """Write the folder, in place of an older one; returns its manifest.

    Args:
        extra: further entries of the manifest, such as how it was fine-tuned.

    Raises:
        EdgekitError: EK303 for a graph larger than a file of ONNX can be; EK702 where it cannot be written.
    """
    proto = ir.to_proto(compressed.after)
    if proto.ByteSize() > LARGEST_BYTES:
        raise EdgekitError(
            "EK303",
            what="the compressed graph is larger than 2 GB, the most that one ONNX file holds",
            where=source.name,
            fix="take more out of it",
        )
    data = proto.SerializeToString(deterministic=True)
    manifest = manifest_of(recipe, source, compressed) | extra
    manifest["files"] = {MODEL: {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}}
    text = json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    replace_folder(out, {MODEL: data, MANIFEST: text.encode()}, "compressed model")
    return manifest


def manifest_of(recipe: Recipe, source: Source, compressed: Compressed) -> dict[str, Any]:
    """All but the files: the same model and options give the same text."""
    how = recipe.compress
    assert how is not None
    return {
        "format": FORMAT,
        "kind": KIND,
        "edgekit": __version__,
        "model": source.name,
        "target": "",  # of a bundle; every manifest of edgekit has one
        "method": how.name,
        "origin": {
            "model": recipe.model,
            "weights": source.weights,
            "weights_sha256": source.weights_sha256,
            "model_args": dict(recipe.model_args),
        },
        "options": asdict(how),
        "input_shape": list(source.input_shape),
        "preprocess": asdict(source.preprocess),
        "assumed": source.assumed,
        "labels": list(source.labels),
        "before": asdict(counts_of(compressed.before, source.input_shape)),
        "after": asdict(counts_of(compressed.after, source.input_shape)),
        "ranks": compressed.ranks,
        "files": {},
    }


def counts_of(model: ir.Model, input_shape: tuple[int, ...]) -> Counts:
    """Parameters and MACs of a graph for one image, (1, C, H, W)."""
    return count(GraphModule(model), input_shape)
