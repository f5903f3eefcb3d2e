"""The bench behind a connection: the same rounds, the device's state, and nothing left there. No time is asserted."""

import pytest

from edgekit.bench.measure import Bench
from edgekit.bench.protocol import Protocol
from edgekit.bench.subject import subject_of
from edgekit.bundle.files import read_bundle
from edgekit.devices.run_model import open_device
from edgekit.errors import EdgekitError

ONE_ROUND = Protocol(runs=2, min_time_s=0.0, rounds=1, warmup=1)


@pytest.fixture
def subject(bundles):
    return subject_of(read_bundle(bundles["tflite-int8"]))


def test_a_round_behind_a_connection_is_recorded(remote_uri, subject):
    with open_device(remote_uri) as device:
        bench = Bench(device, ONE_ROUND)
        found = {finding.what for finding in bench.examine()}
        document = next(bench.run([subject], "latency")).document()
    with open_device(remote_uri) as device:
        left = device.run(["ls"], 60).stdout.decode().split()
    assert {"governor", "background load"} <= found
    assert document["sha256"] == subject.sha256
    assert document["device"]["uri"] == remote_uri
    assert (document["ran_by"]["runner"], document["ran_by"]["delegate"]) == ("c", "XNNPACK")
    assert all(part["runs"] == 2 for part in document["rounds"])
    assert not [name for name in left if name.startswith("work-")]


def test_what_was_measured_before_a_phone_was_unplugged_is_kept(phone, subject):
    """The daemon goes away between two rounds."""

    def unplug(seconds):
        if len(pauses) == 1:
            phone.unplug()
        pauses.append(seconds)

    pauses: list[float] = []
    protocol = Protocol(runs=2, min_time_s=0.0, rounds=2, warmup=0, cooldown_s=1.0)
    try:
        with open_device(phone.uri) as device:
            records = Bench(device, protocol, sleep=unplug).run([subject], "latency")
            document = next(records).document()
            with pytest.raises(EdgekitError) as raised:
                next(records)
    finally:
        phone.plug_in()
    assert raised.value.code in ("EK601", "EK602")
    assert len(document["rounds"]) == 1
    assert document["extra"]["interrupted"].startswith(raised.value.code)
