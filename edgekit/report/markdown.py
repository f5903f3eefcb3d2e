"""The tables of README.md and docs/, made from the registries and the error catalogue so that they cannot go stale."""

from collections.abc import Iterable, Sequence

from edgekit.errors import CATALOGUE, EXIT_CODES
from edgekit.registry import ModelSpec, Target, Tolerance

STAGES = {
    1: "Names, weights, recipe, input files",
    2: "Trace and graph",
    3: "Lowering",
    4: "Calibration and quantization",
    5: "Parity and accuracy",
    6: "Devices",
    7: "Environment",
}


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, one line per row."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def models_markdown(specs: Iterable[ModelSpec]) -> str:
    """The zoo: one row per model."""
    rows = [
        (
            f"`{spec.name}`",
            "x".join(map(str, spec.input_shape[1:])),
            f"{spec.params / 1e6:.2f} M",
            f"{spec.macs / 1e6:,.0f} M",
            ", ".join(weights.name for weights in spec.weights) or "FILE",
            spec.paper,
        )
        for spec in specs
    ]
    return markdown_table(("model", "input", "parameters", "MACs", "weights", "paper"), rows)


def targets_markdown(targets: Iterable[Target]) -> str:
    """The targets: one row each, with the gate its file must pass."""
    rows = [
        (f"`{target.name}`", f"`model.{target.format}`", target.summary, gate_text(target.tolerance))
        for target in targets
    ]
    return markdown_table(("target", "file", "what", "gate"), rows)


def gate_text(tolerance: Tolerance) -> str:
    """A gate in words."""
    parts = (
        ("max abs <= {:g} of range", tolerance.max_abs),
        ("SQNR >= {:g} dB", tolerance.min_sqnr_db),
        ("top-1 same >= {:.0%}", tolerance.min_agreement),
    )
    return ", ".join(text.format(value) for text, value in parts if value is not None) or "none"


def errors_markdown() -> str:
    """docs/errors.md."""
    parts = [
        "# Errors",
        "Made from `edgekit/errors.py` by `pytest tests/test_completeness.py --update-golden`; do not edit.",
        "Every error says what happened, where, and how to fix it. `edgekit explain EKnnn` prints the same as below."
        " Exit codes: 1 a gate failed, 2 usage, 3 environment or device.",
    ]
    for stage, title in STAGES.items():
        rows = [(code, meaning) for code, meaning in sorted(CATALOGUE.items()) if int(code[2]) == stage]
        if rows:
            parts += [
                f"## {stage}xx {title} (exit code {EXIT_CODES[stage]})",
                markdown_table(("code", "meaning"), rows),
            ]
    return "\n\n".join(parts) + "\n"
