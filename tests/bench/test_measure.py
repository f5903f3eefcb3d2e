"""The bench on this host: what is run, in which order, and what is kept. No time is asserted."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edgekit.bench.measure import MOST_ROUNDS, Bench
from edgekit.bench.protocol import MLPERF, Protocol, sustained
from edgekit.bench.rounds import KEPT_RUNS, sustained_document, thinned
from edgekit.bench.subject import control_subject, subject_of
from edgekit.bundle.files import read_bundle
from edgekit.devices.device import DeviceInfo
from edgekit.devices.local import LocalDevice
from edgekit.devices.run_model import open_device
from edgekit.devices.settings import find
from edgekit.errors import EdgekitError
from edgekit.target import runtimes
from edgekit.targets.tflite.run import load_interpreter

SHORT = Protocol(runs=4, min_time_s=0.0, rounds=2, warmup=1)


class Watched(LocalDevice):
    """This host, with its programs counted, and broken after some of them."""

    def __init__(self, fails_after=10**9):
        super().__init__(find("local"))
        self.models, self.fails_after = [], fails_after

    def run(self, argv, timeout_s):
        if "--sha256" in argv:
            if len(self.models) >= self.fails_after:
                raise EdgekitError("EK602", what="the cable is out", where="local", fix="put it in")
            self.models.append(argv[argv.index("--sha256") + 1])
        return super().run(argv, timeout_s)


def test_files_take_turns_and_a_control_goes_with_each_round(subject):
    other = replace(subject, model="twin")
    device = Watched()
    records = list(Bench(device, replace(SHORT, rounds=1)).run([subject, other], "latency"))
    assert [record.model for record in records] == [subject.model, "twin"]
    kinds = ["file" if sha == subject.sha256 else "control" for sha in device.models]
    assert kinds[:3] == ["file", "file", "control"]
    assert kinds == kinds[:3] * (len(kinds) // 3)  # noise may ask for more rounds


def test_a_record_holds_what_was_measured_and_on_what(subject):
    (record,) = Bench(Watched(), SHORT).run([subject], "latency")
    document = record.document()
    assert document["sha256"] == subject.sha256
    assert document["size_bytes"] == subject.file.stat().st_size
    assert document["device"]["cores"] >= 1
    assert document["ran_by"]["runner"] == "python"
    assert document["ran_by"]["delegate"] == "XNNPACK"
    assert 2 <= len(document["rounds"]) <= 2 * MOST_ROUNDS
    assert sum(part["runs"] for part in document["rounds"]) == document["summary"]["runs"]
    assert document["summary"]["low_ms"] <= document["summary"]["p50_ms"] <= document["summary"]["high_ms"]
    assert document["extra"]["control_ms"] > 0


def test_a_device_that_goes_away_keeps_what_was_measured(subject):
    records = Bench(Watched(fails_after=3), replace(SHORT, rounds=5)).run([subject], "latency")
    document = next(records).document()
    assert len(document["rounds"]) == 2
    assert document["extra"]["interrupted"] == "EK602 the cable is out"
    with pytest.raises(EdgekitError, match="EK602"):
        next(records)


def test_a_cooldown_comes_before_each_round(subject):
    pauses = []
    bench = Bench(Watched(), replace(SHORT, rounds=1, cooldown_s=7.0), sleep=pauses.append)
    (record,) = bench.run([subject], "latency")
    assert pauses == [7.0] * len(record.rounds)


def test_mlperf_is_one_long_round_with_its_own_estimate(subject):
    assert (MLPERF.runs, MLPERF.min_time_s, MLPERF.rounds, MLPERF.cooldown_s) == (1024, 60.0, 1, 300.0)
    quick = replace(MLPERF, runs=80, min_time_s=0.0, cooldown_s=0.0)
    (record,) = Bench(Watched(), quick, is_mlperf=True).run([subject], "latency")
    assert len(record.rounds) == 1
    assert record.extra["mlperf"]["queries"] == 80
    assert record.extra["mlperf"]["p90_ms"] >= record.summary["p90_ms"]


def test_a_sustained_run_is_windows_without_a_pause_or_a_control(subject):
    assert sustained(Protocol(cooldown_s=5), 10) == replace(
        Protocol(), runs=10, min_time_s=600.0, rounds=10, cooldown_s=0.0, sustained_s=600.0
    )
    device = Watched()
    quick = replace(sustained(Protocol(), 0.1), runs=9, rounds=3, min_time_s=0.0)
    (record,) = Bench(device, quick).run([subject], "latency")
    assert Counter(device.models) == {subject.sha256: 3}
    assert len(record.extra["sustained"]["windows_ms"]) == 3


def test_throttling_is_when_a_window_is_a_tenth_slower_than_the_first():
    found = sustained_document([[10.0] * 100, [10.5] * 100, [12.0] * 100, [19.0] * 100])
    assert (found["first_ms"], found["last_ms"], found["ratio"]) == (10.0, 19.0, 1.9)
    assert found["throttled_after_s"] == pytest.approx(1.0 + 1.05)
    assert sustained_document([[10.0], [10.5]])["throttled_after_s"] is None


def test_an_emulated_device_has_no_latency(subject):
    class Emulated(Watched):
        def info(self):
            return DeviceInfo("core", "emulated:core", "aarch64", "core", 4, emulated=True)

    bench = Bench(Emulated(), SHORT)
    assert bench.usual_metric == "instructions"
    assert bench.examine() == ()
    with pytest.raises(EdgekitError, match=r"EK106 .*milliseconds would mean nothing"):
        list(bench.run([subject], "latency"))


def test_the_device_is_looked_at_before(subject):
    with open_device("local") as device:
        found = Bench(device, SHORT).examine()
    assert {"governor", "background load"} <= {finding.what for finding in found}


def test_kept_timings_are_spread_evenly():
    assert thinned([1.0, 2.0]) == [1.0, 2.0]
    kept = thinned([float(i) for i in range(100_000)])
    assert (len(kept), kept[0], kept[-1]) == (KEPT_RUNS, 0.0, 99_999.0)


def test_the_input_is_stored_as_the_file_wants_it(bundle_folder):
    bundle = read_bundle(bundle_folder)
    details = load_interpreter(bundle.model_file).get_input_details()[0]
    data = np.frombuffer(subject_of(bundle).inputs, details["dtype"]).reshape(details["shape"])
    scale, zero = details["quantization"]
    real = (data.astype(np.float32) - zero) * scale
    assert (
        np.abs(real.transpose(0, 3, 1, 2) - bundle.inputs[:1]).max() <= scale
    )  # half a step, more where it is clipped


@pytest.mark.parametrize("runtime", runtimes(), ids=lambda runtime: runtime.name)
def test_the_control_is_the_same_file_each_time(runtime, tmp_path):
    first = control_subject(runtime, tmp_path)
    assert first == control_subject(runtime, tmp_path)
    assert first.file == tmp_path / f"control.{runtime.suffix}"
