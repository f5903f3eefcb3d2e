"""Parity: how far one step of the pipeline moved the outputs, and whether that is within the gate."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.artifact import Hop, OutputParity
from edgekit.target import FloatArray, Outputs, Tolerance
from edgekit.verify.channels import EQUAL_DB, NOISE, Channels, measure_channels

Doubles = NDArray[np.float64]
INDICES_SAME = 0.999
NO_STEPS: Mapping[str, float] = MappingProxyType({})


def compare(
    reference: Outputs,
    actual: Outputs,
    *,
    name: str,
    reference_name: str,
    tolerance: Tolerance | None = None,
    scores: str | None = None,
    steps: Mapping[str, float] = NO_STEPS,
) -> Hop:
    """Compare the outputs of two stages on the same inputs, each output on its own, in float64.

    Args:
        reference, actual: name -> f32[n, ...] for the same n inputs.
        tolerance: the gate of every output; None lets everything pass that is finite.
        scores: which output holds the scores of classes; None where none does. Those are compared as classes, not
            channel by channel.
        steps: output -> fixed step of the kernel that writes it, which bounds what can be asked of it.

    Returns:
        The hop. NaN or infinity in either output fails whatever the gate; so do outputs of different shapes, and one
        that only one of the stages has.
    """
    names = [*reference, *(output for output in actual if output not in reference)]
    return Hop(
        name,
        reference_name,
        tuple(
            compare_output(
                output,
                reference.get(output),
                actual.get(output),
                tolerance or Tolerance(max_lost=None),
                classes=output == scores,
                step=steps.get(output, 0.0),
            )
            for output in names
        ),
    )


def compare_output(
    name: str,
    reference: FloatArray | None,
    actual: FloatArray | None,
    tolerance: Tolerance,
    *,
    classes: bool,
    step: float = 0.0,
) -> OutputParity:
    """One output of two stages; None where a stage does not have it."""
    if reference is None or actual is None:
        return refuse(name, "only one of both has this output")
    if reference.shape != actual.shape:
        return refuse(name, f"shape {actual.shape} = {reference.shape}")
    if reference.dtype.kind != "f":
        return compare_indices(name, reference, actual, tolerance)
    unusable = int((~np.isfinite(reference)).sum() + (~np.isfinite(actual)).sum())
    if unusable:
        return refuse(name, f"NaN or infinite outputs {unusable} = 0")
    expected, got = reference.astype(np.float64), actual.astype(np.float64)
    channels = Channels(0, 0, 0, EQUAL_DB) if classes else measure_channels(expected, got, step)
    found = OutputParity(
        name,
        max_abs=float(np.abs(expected - got).max(initial=0.0)),
        range=measure_range(expected),
        cosine=measure_cosine(expected, got),
        sqnr_db=measure_sqnr_db(expected, got),
        agreement=measure_agreement(expected, got) if classes else None,
        channels=channels.count,
        lost=channels.lost,
        unheld=channels.unheld,
        channel_db=channels.lowest_db,
    )
    return apply_gate(found, tolerance, unheld=0 < float(expected.std()) <= step)


def compare_indices(name: str, reference: NDArray[Any], actual: NDArray[Any], tolerance: Tolerance) -> OutputParity:
    """Indices of classes and booleans: the same or not, element by element. No distance lies between two classes.

    Those that are not the same are the noise: 10 dB are 90 % the same. A gate that bounds the error asks for
    INDICES_SAME of them, because scores may be equal up to float rounding.
    """
    same = float((reference == actual).mean()) if reference.size else 1.0
    found = OutputParity(
        name,
        max_abs=float(np.abs(reference - actual).max(initial=0)),
        range=float(np.ptp(reference)) if reference.size else 0.0,
        cosine=measure_cosine(reference.astype(np.float64), actual.astype(np.float64)),
        sqnr_db=EQUAL_DB if same == 1.0 else -10 * float(np.log10(1 - same)),
        agreement=same,
    )
    floor = tolerance.min_agreement
    if floor is None and tolerance.max_abs is not None:
        floor = INDICES_SAME
    if floor is None and tolerance.min_sqnr_db is not None:
        floor = 1 - 10 ** (-tolerance.min_sqnr_db / 10)
    return apply_gate(found, Tolerance(min_agreement=floor, max_lost=None))


def refuse(output: str, gate: str) -> OutputParity:
    """An output that fails because it cannot be compared."""
    return OutputParity(output, max_abs=np.inf, range=0.0, cosine=0.0, sqnr_db=-np.inf, gate=gate, passed=False)


def measure_range(expected: Doubles) -> float:
    """Largest less smallest; 0 where that is float arithmetic's own noise: the mean of a softmax never varies."""
    if not expected.size or np.ptp(expected) <= NOISE * np.abs(expected).max():
        return 0.0
    return float(np.ptp(expected))


def measure_cosine(expected: Doubles, got: Doubles) -> float:
    """Cosine similarity over all elements; 1 for two zero outputs, 0 where only one is zero."""
    lengths = float(np.linalg.norm(expected) * np.linalg.norm(got))
    if lengths == 0.0:
        return float(not expected.any() and not got.any())
    return float(np.vdot(expected, got) / lengths)


def measure_sqnr_db(expected: Doubles, got: Doubles) -> float:
    """10 log10(sum (expected - mean)^2 / sum error^2); inf when equal, -inf when all is error.

    The mean over all elements says nothing of an input: 100 +- 0.2 stored as 100 is all error. A single number that
    never varies is measured as it is.
    """
    centred = expected - expected.mean() if measure_range(expected) else expected
    signal, noise = float(np.square(centred).sum()), float(np.square(expected - got).sum())
    if noise == 0.0:
        return float("inf")
    return 10 * float(np.log10(signal / noise)) if signal > 0.0 else float("-inf")


def measure_agreement(expected: Doubles, got: Doubles) -> float:
    """Share (0..1) of rows of f64[n, classes] whose largest element stays the same; the first of equals counts."""
    same = top1(expected) == top1(got)
    return float(same.mean()) if len(same) else 1.0


def top1(scores: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The class of each row of [n, classes], with any number of trailing ones, i64[n]."""
    return np.asarray(scores.reshape(len(scores), -1).argmax(axis=1), np.int64)


def apply_gate(found: OutputParity, tolerance: Tolerance, *, unheld: bool = False) -> OutputParity:
    """The output with the gate in words and whether it held.

    Args:
        unheld: it varies by less than its kernel's fixed step: the SQNR is said, and not gated.
    """
    checks: list[tuple[str, bool]] = []
    if tolerance.max_abs is not None:
        # Constant outputs have no range to take a fraction of: the error is absolute then.
        error = found.max_abs / found.range if found.range else found.max_abs
        unit = "of range" if found.range else "absolute"
        checks.append(
            state(f"max abs {error:.1e}", f"{tolerance.max_abs:.0e} {unit}", "<=", error <= tolerance.max_abs)
        )
    if tolerance.min_sqnr_db is not None:
        held = found.sqnr_db >= tolerance.min_sqnr_db
        if unheld and not held:
            checks.append((f"SQNR {found.sqnr_db:.1f} dB, varies by less than its kernel's step", True))
        else:
            checks.append(state(f"SQNR {found.sqnr_db:.1f} dB", f"{tolerance.min_sqnr_db:.1f} dB", ">=", held))
    if tolerance.min_agreement is not None and found.agreement is not None:
        held = found.agreement >= tolerance.min_agreement
        checks.append(state(f"agreement {found.agreement:.1%}", f"{tolerance.min_agreement:.1%}", ">=", held))
    if tolerance.max_lost is not None and found.lost > tolerance.max_lost * found.channels:
        checks.append((f"{found.lost} of {found.channels} channels lost: error above their variation", False))
    return replace(found, gate=", ".join(text for text, _ in checks), passed=all(held for _, held in checks))


def state(measured: str, allowed: str, relation: str, held: bool) -> tuple[str, bool]:
    """A check in words: "SQNR 18.9 dB >= 10.0 dB" when it held, "SQNR 8.2 dB < 10.0 dB" when not."""
    opposite = {"<=": ">", ">=": "<"}
    return f"{measured} {relation if held else opposite[relation]} {allowed}", held
