"""Parity: how far one step of the pipeline moved the outputs, and whether that is within the gate."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.artifact import Hop
from edgekit.target import FloatArray, Tolerance

Doubles = NDArray[np.float64]


def compare(
    reference: FloatArray,
    actual: FloatArray,
    *,
    name: str,
    reference_name: str,
    tolerance: Tolerance | None = None,
    scores: bool = True,
) -> Hop:
    """Compare the outputs of two stages on the same inputs, in float64.

    Args:
        reference, actual: f32[n, ...] for the same n inputs. Top-1 agreement means something for f32[n, classes] with
            more than one class only; elsewhere it is 1 and not gated.
        tolerance: the gate; None lets everything pass that is finite.
        scores: whether rows are the scores of classes: a detector's flattened boxes have a largest number too.

    Returns:
        The hop. NaN or infinity in either output fails whatever the gate; so do outputs of different shapes.
    """
    if reference.shape != actual.shape:
        return refuse(name, reference_name, f"shape {actual.shape} = {reference.shape}")
    unusable = int((~np.isfinite(reference)).sum() + (~np.isfinite(actual)).sum())
    if unusable:
        return refuse(name, reference_name, f"NaN or infinite outputs {unusable} = 0")
    expected, got = reference.astype(np.float64), actual.astype(np.float64)
    classes = scores and expected.ndim == 2 and expected.shape[1] > 1
    hop = Hop(
        name,
        reference_name,
        max_abs=float(np.abs(expected - got).max(initial=0.0)),
        range=float(np.ptp(expected)) if expected.size else 0.0,
        cosine=measure_cosine(expected, got),
        sqnr_db=measure_sqnr_db(expected, got),
        agreement=measure_agreement(expected, got) if classes else 1.0,
    )
    return apply_gate(hop, tolerance or Tolerance(), classes)


def refuse(name: str, reference_name: str, gate: str) -> Hop:
    """A hop that fails because its outputs cannot be compared."""
    return Hop(
        name,
        reference_name,
        max_abs=np.inf,
        range=0.0,
        cosine=0.0,
        sqnr_db=-np.inf,
        agreement=0.0,
        gate=gate,
        passed=False,
    )


def measure_cosine(expected: Doubles, got: Doubles) -> float:
    """Cosine similarity over all elements; 1 for two zero outputs, 0 where only one is zero."""
    lengths = float(np.linalg.norm(expected) * np.linalg.norm(got))
    if lengths == 0.0:
        return float(not expected.any() and not got.any())
    return float(np.vdot(expected, got) / lengths)


def measure_sqnr_db(expected: Doubles, got: Doubles) -> float:
    """10 log10(sum expected^2 / sum error^2); inf when equal, -inf when all is error."""
    signal, noise = float(np.square(expected).sum()), float(np.square(expected - got).sum())
    if noise == 0.0:
        return float("inf")
    return 10 * float(np.log10(signal / noise)) if signal > 0.0 else float("-inf")


def measure_agreement(expected: Doubles, got: Doubles) -> float:
    """Share (0..1) of rows of f64[n, classes] whose largest element stays the same; the first of equals counts."""
    return float((expected.argmax(axis=1) == got.argmax(axis=1)).mean()) if len(expected) else 1.0


def apply_gate(hop: Hop, tolerance: Tolerance, classes: bool) -> Hop:
    """The hop with the gate in words and whether it held."""
    checks: list[tuple[str, bool]] = []
    if tolerance.max_abs is not None:
        # Constant outputs have no range to take a fraction of: the error is absolute then.
        error = hop.max_abs / hop.range if hop.range else hop.max_abs
        unit = "of range" if hop.range else "absolute"
        checks.append(
            state(f"max abs {error:.1e}", f"{tolerance.max_abs:.0e} {unit}", "<=", error <= tolerance.max_abs)
        )
    if tolerance.min_sqnr_db is not None:
        held = hop.sqnr_db >= tolerance.min_sqnr_db
        checks.append(state(f"SQNR {hop.sqnr_db:.1f} dB", f"{tolerance.min_sqnr_db:.1f} dB", ">=", held))
    if tolerance.min_agreement is not None and classes:
        held = hop.agreement >= tolerance.min_agreement
        checks.append(state(f"agreement {hop.agreement:.1%}", f"{tolerance.min_agreement:.1%}", ">=", held))
    return replace(hop, gate=", ".join(text for text, _ in checks), passed=all(held for _, held in checks))


def state(measured: str, allowed: str, relation: str, held: bool) -> tuple[str, bool]:
    """A check in words: "SQNR 18.9 dB >= 10.0 dB" when it held, "SQNR 8.2 dB < 10.0 dB" when not."""
    opposite = {"<=": ">", ">=": "<"}
    return f"{measured} {relation if held else opposite[relation]} {allowed}", held
