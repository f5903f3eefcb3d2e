"""For a phone's own build of ONNX Runtime: the file in ORT format, and the operators that such a build must have.

A minimal build reads .ort files alone and holds the kernels that a configuration names; it is a fraction of the size of
the published library. Source: onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from edgekit.artifact import Contract
from edgekit.errors import EdgekitError
from edgekit.graph.session import REFUSALS, refused
from edgekit.target import Emitted, FloatArray, Outputs
from edgekit.targets.onnxruntime.run import dtype_of

ORT_FILE, OPERATORS_FILE = "model.ort", "required_operators.config"
MAX_ERROR = 1e-5  # of the outputs' range
FUSIONS = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # the next level holds what only this machine's CPU has
NOT_ON_ARM = ["NchwcTransformer"]  # its layout is x86's


def add_mobile_files(emitted: Emitted, contract: Contract, name: str) -> Emitted:
    """The same file with model.ort and required_operators.config beside it.

    Raises:
        EdgekitError: EK703 when the runtime cannot write the format, or what it wrote computes something else.
    """
    if emitted.beside:
        return emitted  # over 2 GB, with its weights beside it: more than the ORT format can hold
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(emitted.data)
        converted = _optimized(source, Path(folder) / ORT_FILE, "ORT")
        fused = _optimized(source, Path(folder) / "fused.onnx", "ONNX")
        _check_same(source, converted, name)
        operators = required_operators(onnx.load(fused))
        return replace(emitted, beside={ORT_FILE: converted.read_bytes(), OPERATORS_FILE: operators.encode()})


def _optimized(source: Path, target: Path, kind: str) -> Path:
    """Write the graph as the runtime fuses it for any CPU."""
    options = ort.SessionOptions()
    options.log_severity_level = 4  # it warns about each constant that it folds
    options.graph_optimization_level = FUSIONS
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", kind)
    _session(source, options)
    return target


def _session(file: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    try:
        chosen: dict[str, Any] = {"providers": ["CPUExecutionProvider"], "disabled_optimizers": NOT_ON_ARM}
        return ort.InferenceSession(str(file), options, **chosen)
    except REFUSALS as error:
        raise refused(error, file.name) from error


def _check_same(source: Path, converted: Path, name: str) -> None:
    """Every output of both files on one image of noise."""
    wanted, got = (_results(file, name) for file in (source, converted))
    for output, values in wanted.items():
        error, spread = _difference(values, got[output])
        if not error <= MAX_ERROR * max(spread, 1e-6):
            raise EdgekitError(
                "EK703",
                what=f"the file in ORT format computes another {output!r}: {error:.2g} off",
                where=name,
                fix="report this with the model and: edgekit doctor",
            )


def _results(file: Path, name: str) -> Outputs:
    """What a file gives for noise, by name. Fused alike: others add in another order, and 800 layers amplify that."""
    options = ort.SessionOptions()
    options.graph_optimization_level = FUSIONS
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = _session(file, options)
    (first, *_) = session.get_inputs()
    dtype = dtype_of(first)
    noise = np.random.default_rng(0).normal(size=first.shape)
    fed = (noise if dtype.kind == "f" else noise * 40).astype(dtype)
    names = [output.name for output in session.get_outputs()]
    try:
        found = session.run(names, {first.name: fed})
    except REFUSALS as refusal:
        raise refused(refusal, name) from refusal
    return {output: np.asarray(values, np.float32) for output, values in zip(names, found, strict=True)}


def _difference(wanted: FloatArray, got: FloatArray) -> tuple[float, float]:
    """(largest difference, spread of what is wanted); equal where both are NaN or infinite: the gate names those."""
    other = ~((wanted == got) | (np.isnan(wanted) & np.isnan(got)))
    numbers = wanted[np.isfinite(wanted)]
    error = np.abs(got[other] - wanted[other]).max() if other.any() else 0.0
    return float(error), float(np.ptp(numbers)) if numbers.size else 0.0


def required_operators(model: onnx.ModelProto) -> str:
    """The lines that ONNX Runtime's build takes as --include_ops_by_config: domain;version;operators."""
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    found: dict[tuple[str, int], set[str]] = {}
    for node in model.graph.node:
        domain = node.domain or "ai.onnx"
        found.setdefault((domain, _since(node.op_type, domain, versions[domain])), set()).add(node.op_type)
    return "".join(f"{domain};{since};{','.join(sorted(ops))}\n" for (domain, since), ops in sorted(found.items()))


def _since(operator: str, domain: str, version: int) -> int:
    """The version in which the operator was last changed; kernels are registered under it."""
    if domain != "ai.onnx":
        return version  # ONNX Runtime's own domains have one version
    return int(onnx.defs.get_schema(operator, version, "").since_version)
