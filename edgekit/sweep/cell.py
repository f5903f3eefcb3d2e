"""One cell: compress, export, compare, measure. Whatever happens, it ends in a result."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import __version__
from edgekit.artifact import hop_document
from edgekit.errors import EdgekitError, error_document
from edgekit.recipe import Recipe, make_recipe
from edgekit.sweep.plan import Cell, mapped

FIDELITY_IMAGES = 32

REPEATABLE = ("instructions", "cycles")
"""Metrics that give the same figure each time."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a cell came to.

    Args:
        status: "ok"; "gate": the file does not say what the net says; "failed": there is no file.
        record: hashes and figures; the same cell gives the same, byte for byte.
        measured: what no two runs agree on: latency.
        error: code, what, where, fix; empty where all went well.
        costs: seconds of CPU and of wall time.
    """

    key: str
    status: str
    record: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    edgekit: str = __version__


def run_cell(cell: Cell, places: Mapping[str, str] | None = None) -> Result:
    """Compute a cell; a failure is a result.

    Args:
        places: path in the plan -> where its content is here.
    """
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        result = _compute(cell, places or {})
    except EdgekitError as error:
        result = Result(cell.key, "failed", error=error_document(error))
    except Exception as error:  # noqa: BLE001 - one cell's trouble must not cost the others
        what = f"{type(error).__name__}: {error}"
        result = Result(cell.key, "failed", error={"code": "", "what": what, "where": cell.label, "fix": ""})
    spent = {"cpu_s": round(time.process_time() - cpu, 3), "wall_s": round(time.perf_counter() - wall, 3)}
    return replace(result, costs=spent)


def _compute(cell: Cell, places: Mapping[str, str]) -> Result:
    from edgekit.compress.preparation import compress, images_of, traced_of
    from edgekit.compress.store import counts_of
    from edgekit.pipeline import export
    from edgekit.source import resolve
    from edgekit.source.graph_module import GraphModule
    from edgekit.source.in_memory import in_memory
    from edgekit.source.reference import one_thread

    recipe = make_recipe(**mapped(cell, places))
    with tempfile.TemporaryDirectory() as folder, one_thread():
        source = resolve(replace(recipe, compress=None))
        record: dict[str, Any] = {"weights": source.weights, "weights_sha256": source.weights_sha256}
        plain = replace(recipe, compress=None, out=Path(folder))
        if recipe.compress is None:
            run = export(plain)
            record |= asdict(counts_of(traced_of(source), source.input_shape)) if not source.quantized else {}
        else:
            done = compress(traced_of(source), recipe.compress, images_of(recipe.calibration, recipe.samples, source))
            record |= asdict(counts_of(done.after, source.input_shape))
            given = in_memory(GraphModule(done.after), source.name)
            size = source.input_shape[2:]
            module_recipe = replace(
                plain, weights=None, num_classes=None, model_args={}, input_size=size, preprocess=source.preprocess
            )
            run = export(module_recipe, given=given)
        [result] = run.results
        if result.refused is not None:
            return Result(cell.key, "failed", record, error=error_document(result.refused))
        assert result.artifact is not None
        end = hop_document(result.artifact.parity.hops[-1])
        record |= {
            "sha256": _sha256(result.artifact.emitted.data),
            "size_bytes": len(result.artifact.emitted.data),
            "sqnr_db": _rounded(end["sqnr_db"]),
            "parity_agreement": _rounded(end["agreement"]),
        }
        if not result.passed or result.folder is None:
            [error, *_] = run.errors()
            return Result(cell.key, "gate", record, error=error_document(error))
        record |= _quality(cell, recipe, source, result.folder, places)
        measured = _measure(cell, result.folder)
        record |= {name: measured.pop(name) for name in REPEATABLE if name in measured}
        return Result(cell.key, "ok", json.loads(json.dumps(record)), measured)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _quality(cell: Cell, recipe: Recipe, source: Any, bundle: Path, places: Mapping[str, str]) -> dict[str, Any]:
    """Top-1 on labelled images, and how many images keep the class that the whole model gives them."""
    from edgekit.bundle.files import read_bundle
    from edgekit.compress.preparation import images_of
    from edgekit.target import targets
    from edgekit.verify.evaluate import Selection, evaluate_bundle, float_outputs

    read = read_bundle(bundle)
    found: dict[str, Any] = {}
    if cell.eval is not None:
        selection = Selection(Path(places.get(cell.eval, cell.eval)), limit=cell.eval_limit)
        found["top1"] = round(float(evaluate_bundle(read, selection).top1.percent), 4)
    if source.scores is None:
        return found
    images = images_of(recipe.calibration, FIDELITY_IMAGES, source)
    if images:
        batch = np.concatenate(images)
    else:
        shape = (FIDELITY_IMAGES, *source.input_shape[1:])
        batch = np.random.default_rng(recipe.seed).standard_normal(shape, dtype=np.float32)
    wanted = float_outputs(source)(batch)[source.scores.name].reshape(len(batch), -1).argmax(1)
    outputs = targets.get(read.target).run(read.model_file)(batch)
    given = next(iter(outputs.values())).reshape(len(batch), -1).argmax(1)
    found["agreement"] = round(float((wanted == given).mean()), 6)
    return found


def _measure(cell: Cell, bundle: Path) -> dict[str, Any]:
    if cell.metric == "none":
        return {}
    from edgekit.bench.measure import Bench
    from edgekit.bench.protocol import make_protocol
    from edgekit.bench.subject import subject_of
    from edgekit.bundle.files import read_bundle
    from edgekit.devices.run_model import open_device

    protocol = make_protocol({}, is_mlperf=False, minutes=None)
    with open_device(cell.device, exclusive=True) as opened:
        measuring = Bench(opened, protocol, False, None, 600)
        (record,) = measuring.run([subject_of(read_bundle(bundle))], measuring.prepare(cell.metric), lambda *_: None)  # type: ignore[arg-type]
    if cell.metric in REPEATABLE:
        return {cell.metric: record.summary[cell.metric]}
    return {name: record.summary[name] for name in ("p50_ms", "low_ms", "high_ms")}
