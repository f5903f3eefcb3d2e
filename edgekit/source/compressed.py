"""A folder that `edgekit compress` left: a graph with its weights, and what it was made of. No code is in it.

network.onnx    the network as it is now: layers, shapes and weights; normalization layers are not folded
manifest.json   where it comes from, what was done to it, what it is fed, hashes
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.serde import SerdeError

from edgekit.errors import EdgekitError
from edgekit.files import GIGABYTE, read_regular
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source, bundle_name
from edgekit.source.choices import chosen_size, is_said, refuse_weight_options, said
from edgekit.source.graph_module import GraphModule
from edgekit.source.input_size import run_on_zeros

FORMAT = 1
KIND = "compressed model"
MODEL, MANIFEST = "network.onnx", "manifest.json"
LARGEST_MANIFEST = 1 << 24


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """The folder's graph as a module with its weights.

    Errors:
        EK110 a file is missing, changed, or not of this form; EK203 another input size than it was compressed for.
    """
    folder = Path(recipe.model)
    refuse_weight_options(recipe, "a compressed model")
    manifest = read_manifest(folder)
    module = GraphModule(read_graph(folder, manifest))
    preprocess = said(recipe, read_preprocess(manifest["preprocess"]))
    size = chosen_size(recipe)
    shape: Any = tuple(manifest["input_shape"])
    if size is not None and size != shape[2:]:
        raise EdgekitError(
            "EK203",
            what=f"the model was compressed for {shape[2]}x{shape[3]} pixels, not for {size[0]}x{size[1]}",
            where=str(folder),
            fix=f"compress it again at that size: edgekit compress {manifest['origin']['model']} --input-size "
            f"{size[0]}x{size[1]} --out DIR, with the same other options",
        )
    outputs = run_on_zeros(module, shape, str(folder))
    return Source(
        bundle_name(folder.resolve().name),  # not the name of what it came from, whose bundle would be replaced
        module,
        None,
        shape,
        preprocess,
        manifest["origin"]["weights"],
        manifest["files"][MODEL]["sha256"],
        outputs,
        labels=tuple(manifest["labels"]),
        assumed=bool(manifest["assumed"]) and not is_said(recipe),
        notes=(told(manifest),),
    )


def told(manifest: dict[str, Any]) -> str:
    """Where the model comes from, in a sentence."""
    before, after = manifest["before"]["macs"], manifest["after"]["macs"]
    origin = manifest["origin"]
    made = f"{origin['model']} with {origin['weights']} weights, compressed ({manifest['method']})"
    return f"{made}: {before:,} MACs before, {after:,} now"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a compressed model; EK110 for anything else."""
    try:
        manifest: Any = json.loads(read_regular(folder / MANIFEST, LARGEST_MANIFEST, "the manifest"))
    except (ValueError, RecursionError) as error:
        raise _broken(folder, f"its {MANIFEST} is no JSON") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise _broken(folder, "it is not a folder of edgekit compress")
    if manifest.get("format") != FORMAT:
        raise _broken(folder, f"it has the form {manifest.get('format')}, and this edgekit reads {FORMAT}")
    if problem := next((key for key, kind in KEYS.items() if not isinstance(manifest.get(key), kind)), None):
        raise _broken(folder, f"its {MANIFEST} has no usable {problem!r}")
    if not all(isinstance(manifest["origin"].get(key), str) for key in ("model", "weights")):
        raise _broken(folder, f"its {MANIFEST} does not say what it was made of")
    counts = (manifest[when].get("macs") for when in ("before", "after"))
    shape = manifest["input_shape"]
    if (
        not all(isinstance(count, int) for count in counts)
        or len(shape) != 4
        or not all(isinstance(size, int) and 0 < size < 1 << 16 for size in shape)
    ):
        raise _broken(folder, f"its {MANIFEST} holds figures that cannot be")
    return manifest


KEYS: dict[str, type] = {
    "model": str,
    "method": str,
    "origin": dict,
    "input_shape": list,
    "preprocess": dict,
    "labels": list,
    "assumed": bool,
    "before": dict,
    "after": dict,
    "files": dict,
}


def read_graph(folder: Path, manifest: dict[str, Any]) -> ir.Model:
    """The graph, its hash checked; EK110 where it is another one."""
    data = read_regular(folder / MODEL, 2 * GIGABYTE, "the graph")
    wanted = manifest["files"].get(MODEL)
    if not isinstance(wanted, dict) or hashlib.sha256(data).hexdigest() != wanted.get("sha256"):
        raise _broken(folder, f"{MODEL} was changed: its SHA-256 differs")
    try:
        proto = onnx.ModelProto.FromString(data)
        onnx.checker.check_model(proto)
        graph: ir.Model = ir.from_proto(proto)
        return graph
    except (DecodeError, SerdeError, onnx.checker.ValidationError, ValueError, TypeError) as error:
        raise _broken(folder, f"{MODEL} is no graph") from error


def read_preprocess(document: dict[str, Any]) -> Preprocess:
    """What `asdict` of a Preprocess became in JSON."""
    fields = asdict(Preprocess())
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
    return Preprocess(**{key: given.get(key, default) for key, default in fields.items()})


def _broken(folder: Path, what: str) -> EdgekitError:
    return EdgekitError(
        "EK110",
        what=f"the compressed model cannot be used: {what}",
        where=str(folder),
        fix="compress the model again: edgekit compress MODEL --out DIR",
    )
