"""`edgekit verify`: a bundle's golden vectors, run again from the bundle alone."""

from dataclasses import dataclass, replace

import numpy as np

from edgekit.artifact import Hop, OutputParity
from edgekit.bundle.files import Bundle
from edgekit.bundle.golden_images import check_golden_images
from edgekit.errors import EdgekitError, Table
from edgekit.target import Tolerance, targets
from edgekit.verify.parity import compare, compare_output

SQNR_SLACK_DB = 1.0  # another CPU rounds differently by single steps; over a few vectors that moves the SQNR by less


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """What running the golden vectors again gave.

    Args:
        bit_exact: the outputs equal the stored ones; expected on the runtime and CPU that wrote them.
        hops: against the file's own stored outputs, and against the float model's.
    """

    target: str
    images: int
    bit_exact: bool
    hops: tuple[Hop, ...]


def check_golden(bundle: Bundle) -> GoldenResult:
    """Run the bundle's file on its golden inputs and compare with what it gave, and with the float model."""
    target = targets.get(bundle.target)
    check_golden_images(bundle.golden_images, bundle.preprocess, bundle.input, str(bundle.path))
    actual = target.run(bundle.model_file)(bundle.inputs)
    scores = bundle.scores.name if bundle.scores else None
    at_export = compare(bundle.reference, bundle.outputs, name="file", reference_name="float model", scores=scores)
    hops = (
        compare(
            bundle.outputs,
            actual,
            name="file now",
            reference_name="file at export",
            tolerance=target.tolerance,
            scores=scores,
        ),
        Hop(
            "file now",
            "float model",
            tuple(
                compare_output(
                    output.output,
                    bundle.reference[output.output],
                    actual.get(output.output),
                    no_stricter_than(output, target.tolerance),
                    classes=output.output == scores,
                )
                for output in at_export.outputs
            ),
        ),
    )
    equal = all(np.array_equal(actual[name], stored) for name, stored in bundle.outputs.items() if name in actual)
    return GoldenResult(bundle.target, len(bundle.inputs), equal and actual.keys() == bundle.outputs.keys(), hops)


def no_stricter_than(at_export: OutputParity, gate: Tolerance) -> Tolerance:
    """The target's gate, lowered to what these few vectors had at export.

    The gate held on all parity inputs then; one disagreement among four golden vectors is 75 %, and no news.
    """
    sqnr, agreement, before = gate.min_sqnr_db, gate.min_agreement, at_export.agreement
    lost = None if at_export.lost else gate.max_lost  # below a kernel's step: said at export, not gated
    return replace(
        gate,
        max_lost=lost,
        min_sqnr_db=None if sqnr is None else min(sqnr, at_export.sqnr_db - SQNR_SLACK_DB),
        min_agreement=None if agreement is None or before is None else min(agreement, before),
    )


def raise_mismatch(result: GoldenResult, where: str) -> None:
    """EK502 when a golden vector no longer gives its output."""
    failed = [hop for hop in result.hops if not hop.passed]
    if not failed:
        return
    rows = tuple(
        (f"{hop.reference} -> {hop.name}", output.output, f"{output.sqnr_db:.1f} dB", output.gate)
        for hop in failed
        for output in hop.outputs
        if not output.passed
    )
    raise EdgekitError(
        "EK502",
        what=f"{result.target}: the golden vectors no longer give their outputs",
        where=where,
        fix="compare manifest.json's versions with: edgekit doctor; or export again",
        table=Table(("hop", "output", "SQNR", "gate"), rows),
    )
