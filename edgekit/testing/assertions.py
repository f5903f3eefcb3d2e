"""Assertions about a bundle on a device. One that cannot be answered skips the test with the reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.testing.under_test import UnderTest

if TYPE_CHECKING:
    from edgekit.bench.compare import Comparison
    from edgekit.bench.record import Metric
    from edgekit.bundle.files import Bundle
    from edgekit.verify.device import DeviceParity

MAX_SLOWDOWN, MAX_MORE_INSTRUCTIONS = 0.03, 0.002
DEVICE_TIMEOUT_S = 600

Results = Sequence[dict[str, Any]]


def assert_parity(bundle: "Bundle | Path", on: UnderTest, *, timeout_s: int = DEVICE_TIMEOUT_S) -> "DeviceParity":
    """The bundle's golden inputs give on the device what they give on this host, in every output.

    int8 bit by bit where both run the same kernels, within two steps elsewhere; float within 1e-5 of its range.

    Returns:
        What was compared, and with which runtime.

    Raises:
        AssertionError: with the device, its runtime, and the gate of the output that is worst.
    """
    __tracebackhide__ = True
    from edgekit.verify.device import bundle_subject, check_device

    row = check_device(on.device, bundle_subject(_read(bundle)), timeout_s)
    if not row.hop.passed:
        pytest.fail(f"{row.hop.name} differs from this host: {row.hop.gate} ({row.summary})")
    return row


def assert_latency(
    bundle: "Bundle | Path",
    on: UnderTest,
    *,
    p50_ms: float | None = None,
    max_regression: float = MAX_SLOWDOWN,
    baseline: Path | None = None,
    protocol: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The median latency is at most `p50_ms`, and not more than `max_regression` above the baseline's.

    Skips on an emulated device, where times mean nothing; where it is too noisy to tell; and without anything to
    compare with.

    Args:
        p50_ms: a limit that holds whatever the baseline.
        max_regression: a fraction.
        baseline: results to compare with; --edgekit-baseline otherwise.
        protocol: fields of edgekit.bench.protocol.Protocol, for example {"threads": 4, "cpu_mask": 0xF0}.

    Returns:
        The result as `edgekit bench --json` prints it.
    """
    __tracebackhide__ = True
    if on.info().emulated:
        pytest.skip(f"{on.name} is emulated and has no latency; assert_instructions works there")
    results = _baseline(on, baseline)
    if p50_ms is None and results is None:
        pytest.skip("nothing to compare with: give p50_ms or --edgekit-baseline")
    document = _measure(bundle, on, "latency", protocol or {})
    summary = document["summary"]
    surely = summary["min_ms" if summary["noise"] else "low_ms"]
    if p50_ms is not None and surely > p50_ms:
        pytest.fail(f"{_named(document)}: the median is at least {surely:.4g} ms, {p50_ms:g} ms allowed")
    if results is not None:
        _judge(_compared(results, document, max_regression), document)
    if p50_ms is not None and summary["high_ms"] > p50_ms:
        interval = f"{summary['low_ms']:.4g} to {summary['high_ms']:.4g} ms"
        pytest.skip(f"{_named(document)}: too noisy: {interval}, {p50_ms:g} ms allowed")
    return document


def assert_instructions(
    bundle: "Bundle | Path",
    on: UnderTest,
    *,
    at_most: int | None = None,
    max_regression: float = MAX_MORE_INSTRUCTIONS,
    baseline: Path | None = None,
) -> dict[str, Any]:
    """An inference takes at most `at_most` instructions, and not more than `max_regression` above the baseline's.

    Exact, on an emulated device; elsewhere it skips. See `assert_latency` for what is the same.
    """
    __tracebackhide__ = True
    if not on.info().emulated:
        pytest.skip(f"{on.name} is not emulated: instructions cannot be counted there; assert_latency works")
    results = _baseline(on, baseline)
    if at_most is None and results is None:
        pytest.skip("nothing to compare with: give at_most or --edgekit-baseline")
    document = _measure(bundle, on, "instructions", {})
    found = document["summary"]["instructions"]
    if at_most is not None and found > at_most:
        pytest.fail(f"{_named(document)}: {found:,} instructions, {at_most:,} allowed")
    if results is not None:
        _judge(_compared(results, document, max_regression), document)
    return document


def _read(bundle: "Bundle | Path") -> "Bundle":
    from edgekit.bundle.files import read_bundle

    return read_bundle(bundle) if isinstance(bundle, Path) else bundle


def _baseline(on: UnderTest, file: Path | None) -> Results | None:
    from edgekit.bench.history import read

    return on.baseline if file is None else read(file)


def _measure(bundle: "Bundle | Path", on: UnderTest, metric: "Metric", fields: Mapping[str, Any]) -> dict[str, Any]:
    from edgekit.bench.history import append
    from edgekit.bench.measure import Bench
    from edgekit.bench.protocol import Protocol
    from edgekit.bench.subject import subject_of

    bench = Bench(on.device, Protocol(**fields))
    (record,) = bench.run([subject_of(_read(bundle))], bench.prepare(metric))
    document = record.document()
    if on.history is not None:
        append(on.history, [document])
    return document


def _compared(results: Results, document: dict[str, Any], max_regression: float) -> "Comparison":
    from edgekit.bench.record import compare_with

    return compare_with(results, document, max_regression)


def _judge(comparison: "Comparison", document: dict[str, Any]) -> None:
    __tracebackhide__ = True
    from edgekit.bench.compare import Verdict

    said = f"{_named(document)}: {comparison.verdict}: {' '.join(filter(None, (comparison.change, comparison.reason)))}"
    if comparison.verdict is Verdict.slower:
        pytest.fail(said)
    if comparison.verdict in (Verdict.too_noisy, Verdict.new):
        pytest.skip(said)


def _named(document: dict[str, Any]) -> str:
    return f"{document['model']} {document['target']} on {document['device']['name']}"
