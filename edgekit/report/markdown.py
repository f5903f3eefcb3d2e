"""The tables of README.md and docs/, made from the registries and the error catalogue so that they cannot go stale."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from edgekit.errors import CATALOGUE, EXIT_CODES
from edgekit.registry import ModelSpec
from edgekit.target import Target, Tolerance

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
    """The zoo: one row per family and paper; `edgekit models` has a row per model."""
    families: dict[str, list[ModelSpec]] = {}
    for spec in specs:
        families.setdefault(spec.build.__module__, []).append(spec)
    rows = [
        (
            ", ".join(f"`{spec.name}`" for spec in family),
            _span([spec.params for spec in family]),
            _span([spec.macs for spec in family]),
            ", ".join(dict.fromkeys(spec.paper for spec in family)),
        )
        for family in families.values()
    ]
    return markdown_table(("models", "parameters", "MACs", "paper"), rows)


def _span(values: Sequence[int]) -> str:
    """Smallest to largest, in millions."""
    low, high = (f"{value / 1e6:,.{0 if value >= 1e9 else 1}f}" for value in (min(values), max(values)))
    return f"{low} M" if low == high else f"{low} to {high} M"


def targets_markdown(targets: Iterable[Target]) -> str:
    """The targets: one row each, with the gate its file must pass."""
    rows = [
        (f"`{target.name}`", f"`{target.model_file}`", target.summary, gate_text(target.tolerance))
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


class LoweringRule(Protocol):
    """What the table of operators reads of a lowering rule."""

    @property
    def op(self) -> str: ...
    @property
    def builtins(self) -> Collection[str]: ...
    @property
    def integer(self) -> Collection[str]: ...


def supported_ops_markdown(about: str, rules: Iterable[LoweringRule]) -> str:
    """docs/supported-ops.md; `about` are the title and what to know in front of the table."""
    rows = [
        (
            f"`{rule.op}`",
            ", ".join(f"`{builtin}`" for builtin in rule.builtins) or "none of its own",
            "yes",
            *("yes" if dtype in rule.integer else "" for dtype in ("int8", "int16")),
        )
        for rule in rules
    ]
    table = markdown_table(("ONNX operator", "operators of the file", "float", "int8", "int16"), rows)
    return f"{about}\n\n{table}\n"
