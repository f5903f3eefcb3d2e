"""report.html: one self-contained page with the proof of one model file."""

import json
from html import escape
from typing import Any

from edgekit.artifact import Artifact, Hop, measured_elsewhere
from edgekit.report import markup
from edgekit.report.ladder import quantization_section
from edgekit.report.style import CSS
from edgekit.report.terminal import share, sqnr
from edgekit.run import Run
from edgekit.target import TensorInfo

ASSUMED = "Assumed: nobody said how images become this model's input. These steps are a guess."
EQUAL_DB = 150.0  # drawn for outputs that are bit for bit equal, whose SQNR is infinite


def render(run: Run, artifact: Artifact, manifest: dict[str, Any]) -> str:
    """The page. Nothing in it is loaded from elsewhere."""
    parts = (
        _head(run, artifact),
        _parity(artifact),
        _contract(artifact),
        quantization_section(run, artifact.target),
        _operators(artifact),
        _delegation(artifact),
        _provenance(manifest),
        _timing(run),
    )
    title = escape(f"{run.source.name} {artifact.target}")
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{title}: edgekit report</title><style>{CSS}</style></head><body><main>"
        f"{''.join(parts)}<footer>edgekit {escape(str(manifest['versions']['edgekit']))}</footer>"
        "</main></body></html>\n"
    )


def _head(run: Run, artifact: Artifact) -> str:
    failure = artifact.parity.first_failure
    last = artifact.parity.hops[-1]
    verdict = f"gate failed at {failure.reference} → {failure.name}" if failure else "every gate passed"
    figures = [
        (f"{len(artifact.emitted.data) / 1e6:.2f} MB", "model file"),
        (sqnr(last.worst), f"SQNR, {last.reference} → file{_of(last)}"),
        (_tensor(artifact.emitted.inputs[0]), "input"),
    ]
    if last.agreement is not None:
        figures.insert(2, (share(last.agreement), f"same top-1 class, {artifact.parity.headline}"))
    if artifact.delegation and artifact.delegation.partitions:
        many = "" if artifact.delegation.partitions == 1 else "s"
        figures.append((f"{artifact.delegation.partitions} partition{many}", artifact.delegation.delegate))
    name, target = escape(run.source.name), escape(artifact.target)
    return (
        f"<header><h1>{name} <small>{target}</small></h1>"
        f"{markup.badge(failure is None, verdict)}</header>{markup.cards(figures)}"
    )


def _parity(artifact: Artifact) -> str:
    parity = artifact.parity
    rows = [
        (
            _hop(hop),
            output.output,
            f"{output.max_abs:.3g}",
            f"{output.cosine:.6f}",
            sqnr(output),
            share(output.agreement),
            output.gate or "none",
            "pass" if output.passed else "FAIL",
        )
        for hop in parity.hops
        for output in hop.outputs
    ]
    drawn = [(f"{_hop(h)}{_of(h)}", min(h.worst.sqnr_db, EQUAL_DB), sqnr(h.worst), h.passed) for h in parity.hops]
    return markup.section(
        "Parity of every hop",
        markup.paragraph(
            f"Every output of each stage against the stage before, on {parity.images} {parity.inputs}"
            f"{measured_elsewhere(parity.hops)}. SQNR: signal to"
            " error in dB, higher is better, drawn for the worst output of each hop; top-1 same is agreement with the"
            " stage before, not accuracy, and a dash where an output has no classes."
        ),
        markup.bars(drawn, "SQNR of every hop in dB"),
        markup.table(
            ("hop", "output", "max abs", "cosine", "SQNR", "top-1 same", "gate", "verdict"),
            rows,
            numeric=("max abs", "cosine", "SQNR", "top-1 same"),
        ),
    )


def _contract(artifact: Artifact) -> str:
    contract = artifact.contract
    rows = [
        (
            way,
            tensor.name,
            tensor.meaning or "",
            tensor.dtype,
            " x ".join(map(str, tensor.shape)),
            tensor.layout,
            _quantization(tensor),
        )
        for way, tensors in (("in", contract.inputs), ("out", contract.outputs))
        for tensor in tensors
    ]
    labels = f"{len(contract.labels)} class names in labels.txt" if contract.labels else "class names are not known"
    return markup.section(
        "What to feed it, and what comes out",
        markup.table(("", "name", "holds", "dtype", "shape", "layout", "real value"), rows),
        markup.paragraph(ASSUMED) if contract.preprocess_assumed else "",
        markup.steps(contract.steps),
        markup.paragraph(f"The same as data: contract.json; {labels}; golden.npz holds inputs with their outputs."),
    )


def _operators(artifact: Artifact) -> str:
    counts = sorted(artifact.emitted.operators.items(), key=lambda item: (-item[1], item[0]))
    total = sum(count for _, count in counts)
    return markup.section(
        f"Operators: {total}", markup.bars([(name, n, str(n), True) for name, n in counts], "operators by count")
    )


def _delegation(artifact: Artifact) -> str:
    delegation = artifact.delegation
    if delegation is None:
        return ""
    if not delegation.undelegated:
        found = markup.paragraph(f"{delegation.delegate} takes every node; partitions: {delegation.partitions}.")
    else:
        rows = [(node.operator, node.module, node.reason, node.fix) for node in delegation.undelegated]
        taken = f"{delegation.delegate} partitions: {delegation.partitions}. " if delegation.partitions else ""
        found = markup.paragraph(f"{taken}These nodes run on the runtime's own kernels:") + markup.table(
            ("operator", "module", "reason", "fix"), rows
        )
    return markup.section("Delegation", found)


def _provenance(manifest: dict[str, Any]) -> str:
    calibration = manifest["calibration"]
    described = (
        f"{calibration['images']} {calibration['description']}, sha256 {calibration['sha256']}"
        if calibration
        else "none"
    )
    weights = manifest["weights"]
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items() if version)
    recipe = {key: value for key, value in manifest["recipe"].items() if value not in (None, {}, [], False)}
    return markup.section(
        "Where it comes from",
        markup.facts(
            (
                ("weights", f"{weights['name']}, sha256 {weights['sha256']}"),
                ("notes", "; ".join(manifest["notes"]) or "none"),
                ("calibration", described),
                ("recipe", json.dumps(recipe)),
                ("passes", ", ".join(manifest["passes"])),
                ("runtime", manifest["min_runtime"] or "any"),
                ("versions", versions),
            )
        ),
    )


def _timing(run: Run) -> str:
    rows = [(c.stage, f"{c.wall_s:.2f} s", f"{c.cpu_s:.2f} s", f"{c.peak_mb:,.0f} MB") for c in run.costs]
    return markup.section(
        "What the export cost",
        markup.table(
            ("stage", "wall", "CPU", "peak memory so far"), rows, numeric=("wall", "CPU", "peak memory so far")
        ),
    )


def _hop(hop: Hop) -> str:
    return f"{hop.reference} → file, {hop.name}" if hop.name == "end to end" else f"{hop.reference} → {hop.name}"


def _of(hop: Hop) -> str:
    """Which output the figures of a hop are of, where it has several."""
    return f", {hop.worst.output}" if len(hop.outputs) > 1 else ""


def _tensor(tensor: TensorInfo) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape))}"


def _quantization(tensor: TensorInfo) -> str:
    return "as stored" if tensor.scale is None else f"{tensor.scale:.6g} * (stored - {tensor.zero_point})"
