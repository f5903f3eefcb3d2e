"""MLPerf's early stopping, against what its LoadGen prints in published logs."""

import pytest

from edgekit.bench.mlperf import allowed_overlatency, early_stopping, fewest_queries


def test_single_stream_needs_64_runs():
    assert fewest_queries(1) == 64
    assert early_stopping([1.0] * 63).p90_ms is None
    assert early_stopping([1.0] * 63).needed == 64
    assert early_stopping([float(i) for i in range(64)]).p90_ms == 63.0


@pytest.mark.parametrize(("queries", "discarded"), [(2048, 172), (2116, 178), (2145, 181), (7469, 685)])
def test_so_many_runs_are_discarded_as_loadgen_says(queries, discarded):
    found = early_stopping([float(i) for i in range(queries)])
    assert found.discarded == discarded
    assert found.p90_ms == queries - discarded - 1
    assert allowed_overlatency(queries) == discarded + 1


def test_the_estimate_is_above_the_plain_percentile():
    samples = [float(i) for i in range(1000)]
    estimate = early_stopping(samples).p90_ms
    assert estimate is not None
    assert 900 < estimate < 950
