"""What goes wrong with devices: each fault is made, and ends in an error that says so, with nothing left behind."""

import hashlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgekit.bundle.files import read_bundle
from edgekit.devices.adb import AdbDevice
from edgekit.devices.device import Address
from edgekit.devices.emulated import EmulatedDevice
from edgekit.devices.lock import locked
from edgekit.devices.result import read_result
from edgekit.devices.run_model import RunRequest, open_device, run_model
from edgekit.devices.settings import find
from edgekit.devices.ssh import SshDevice
from edgekit.errors import EdgekitError
from edgekit.graph.stored import to_stored
from edgekit.verify.device import bundle_subject

HANG = ["sleep", "1000"]
RISC_V = (243).to_bytes(2, "little")
"""In the ELF header; the host of the board runs x86-64 programs itself."""


@pytest.fixture(scope="session")
def request_of(bundles):
    """`request_of(**options)`: a run of the int8 bundle's golden images."""
    subject = bundle_subject(read_bundle(bundles["tflite-int8"]))
    inputs = to_stored(subject.images, subject.input).tobytes()

    def make(**options) -> RunRequest:
        return RunRequest(subject.target.runtime, subject.file, subject.sha256, inputs, **options)

    return make


def later(seconds: float, action) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def open_with(uri: str, **options):
    """The device with other settings than devices.toml could give a test."""
    address = find(uri)
    kinds = {"ssh": SshDevice, "adb": AdbDevice, "emulated": EmulatedDevice}
    return kinds[address.scheme](Address(uri, uri, address.scheme, address.rest, **options))


def test_a_program_that_hangs_is_killed_on_the_device(remote_uri, board):
    with open_device(remote_uri) as device, pytest.raises(EdgekitError) as raised:
        device.run(HANG, 3)
    assert (raised.value.code, raised.value.exit_code, raised.value.where) == ("EK603", 3, remote_uri)
    assert board.processes("sleep 1000") == 0


def test_a_hanging_program_is_killed_in_the_emulator(emulation, request_of):
    with open_device("emulated:pi4") as device:
        run = device.run
        device.run = lambda argv, timeout_s: run(argv, 3)
        with pytest.raises(EdgekitError) as raised:
            run_model(device, request_of(min_time_s=600))
    assert raised.value.code == "EK603"
    commands = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.parent.exists()]
    assert not [words for words in commands if b"qemu-aarch64\0-L" in words and b"min-time-s\x00600" in words]


def test_a_runner_whose_host_is_gone_ends_itself(remote_uri, board, request_of):
    """Its own alarm: nothing else could end it when the cable was pulled."""
    with open_device(remote_uri) as device, pytest.raises(EdgekitError) as raised:
        run_model(device, request_of(min_time_s=600, timeout_s=4))
    assert raised.value.code == "EK603"
    assert board.processes("--min-time-s") == 0


def test_a_dropped_ssh_connection(ssh_uri, sshd, board):
    with open_device(ssh_uri) as device:
        device.info()
        timer = later(2, sshd.drop_connections)
        with pytest.raises(EdgekitError) as raised:
            device.run(HANG, 60)
        timer.join()
    assert (raised.value.code, raised.value.exit_code) == ("EK602", 3)
    assert board.processes("sleep 1000") == 0


def test_what_may_be_repeated_is_repeated_after_a_drop(ssh_uri, sshd, tmp_path):
    (tmp_path / "data").write_bytes(b"data")
    with open_device(ssh_uri) as device:
        sshd.drop_connections()
        device.push(tmp_path / "data", "after-the-drop")
        sshd.drop_connections()
        device.pull("after-the-drop", tmp_path / "back", 4)
        device.remove("after-the-drop")
    assert (tmp_path / "back").read_bytes() == b"data"


def test_a_board_that_is_switched_off(ssh_uri):
    with pytest.raises(EdgekitError) as raised, open_device("ssh://pi@127.0.0.1:1"):
        pass
    assert (raised.value.code, raised.value.fix) == ("EK601", "try by hand: ssh -p 1 pi@127.0.0.1")


def test_a_phone_that_is_unplugged_in_the_middle(adb_uri, phone, board):
    with open_device(adb_uri) as device:
        timer = later(2, phone.unplug)
        with pytest.raises(EdgekitError) as raised:
            device.run(HANG, 60)
        timer.join()
    assert (raised.value.code, raised.value.exit_code) == ("EK602", 3)
    with pytest.raises(EdgekitError) as raised, open_device(adb_uri):
        pass
    assert raised.value.code == "EK601"
    phone.plug_in()
    with open_device(adb_uri) as device:
        assert device.info().arch == "aarch64"
    board.shell("kill $(ps | grep 'sleep 100[0]' | sed 's/^ *//' | cut -d' ' -f1) 2>/dev/null; true")


def test_a_killed_adb_server(adb_uri, phone, board):
    with open_device(adb_uri) as device:
        timer = later(2, lambda: phone.adb("kill-server"))
        with pytest.raises(EdgekitError) as raised:
            device.run(HANG, 60)
        timer.join()
        assert raised.value.code == "EK602"
        assert device.info().arch == "aarch64"
    assert board.processes("sleep 1000") == 0


def test_a_full_disk(remote_uri, tmp_path):
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    with open_with(remote_uri, folder="/small/edgekit") as device:
        with pytest.raises(EdgekitError) as raised:
            device.push(tmp_path / "large", "large")
        assert (raised.value.code, raised.value.exit_code) == ("EK605", 3), raised.value
        assert not device.exists("large")
        (tmp_path / "large").write_bytes(b"small now")
        device.push(tmp_path / "large", "small")
        assert not device.exists("large.part")
        device.remove("small")


def test_a_disk_that_fills_while_the_outputs_are_written(remote_uri):
    with open_device(remote_uri) as device:
        done = device.run(["sh", "-c", "dd if=/dev/zero of=/small/filler bs=65536 count=99"], 60)
        device.run(["rm", "-f", "/small/filler"], 60)
    assert done.exit_code != 0
    assert "No space left on device" in done.stderr.decode()


def test_two_processes_on_one_device(remote_uri):
    with locked(remote_uri, "another"), pytest.raises(EdgekitError) as raised, open_device(remote_uri):
        pass
    assert (raised.value.code, raised.value.exit_code) == ("EK604", 3)


def test_a_program_for_another_cpu(remote_uri, tmp_path):
    program = bytearray(Path(shutil.which("qemu-aarch64") or sys.executable).resolve().read_bytes()[:4096])
    program[18:20] = RISC_V
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "program").write_bytes(program)
    (tmp_path / "folder" / "program").chmod(0o755)
    with open_device(remote_uri) as device:
        device.push(tmp_path / "folder", "wrong-cpu")
        device.remove("wrong-cpu")
        done = device.run(["./wrong-cpu/program"], 60)
    with pytest.raises(EdgekitError) as raised:
        read_result(done, remote_uri)
    assert (raised.value.code, raised.value.exit_code) == ("EK606", 3)


def test_a_program_for_another_cpu_in_the_emulator(emulation):
    with open_device("emulated:pi4") as device, pytest.raises(EdgekitError) as raised:
        read_result(device.run(["/bin/true"], 60), "emulated:pi4")
    assert raised.value.code == "EK606"


def test_a_device_out_of_memory(emulation, request_of):
    with open_with("emulated:pi4", memory_mb=48) as device, pytest.raises(EdgekitError) as raised:
        run_model(device, request_of())
    assert (raised.value.code, raised.value.exit_code) == ("EK607", 3)


def test_a_runner_that_the_kernel_kills(remote_uri, board, request_of):
    with open_device(remote_uri) as device:
        file = f"{device.folder}/{device.process_file}"
        kill = f"cd; while [ ! -s {file} ]; do sleep 0.2; done; sleep 1; kill -9 $(cat {file})"
        timer = later(0, lambda: board.shell(kill))
        with pytest.raises(EdgekitError) as raised:
            run_model(device, request_of(min_time_s=600, timeout_s=60))
        timer.join()
    assert raised.value.code == "EK607"


def test_a_clock_that_jumps(emulation, request_of, tmp_path):
    library = tmp_path / "clock_jump.so"
    source = Path(__file__).with_name("clock_jump.c")
    subprocess.run(["aarch64-linux-gnu-gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    with open_device("emulated:cortex-a76") as device:
        run = device.run_with
        device.run = lambda argv, timeout_s: run(["-E", f"LD_PRELOAD={library}"], argv, timeout_s)
        result, _ = run_model(device, request_of(runs=3))
    assert result.clock_jumped
    assert all(0 < ms < 60_000 for ms in result.runs_ms)


def test_a_model_that_was_changed_on_the_way(emulation, request_of, tmp_path):
    subject = request_of()
    other = tmp_path / "model"
    other.write_bytes(subject.model.read_bytes()[:-1] + b"\xff")
    changed = RunRequest(subject.runtime, other, subject.sha256, subject.inputs)
    with open_device("emulated:pi5") as device, pytest.raises(EdgekitError) as raised:
        run_model(device, changed)
    assert raised.value.code == "EK608"
    assert hashlib.sha256(other.read_bytes()).hexdigest()[:12] in raised.value.what


def test_a_device_that_lies_about_its_outputs(emulation, request_of):
    with open_device("emulated:pi5") as device:
        pull = device.pull

        def tampered(name: str, target: Path, limit_bytes: int) -> None:
            pull(name, target, limit_bytes)
            target.write_bytes(bytes(limit_bytes))

        device.pull = tampered
        with pytest.raises(EdgekitError) as raised:
            run_model(device, request_of())
    assert raised.value.code == "EK608"


def test_nothing_stays_on_a_board(remote_uri, board, request_of):
    with open_device(remote_uri) as device:
        before = board.shell(f"cd; mkdir -p {device.folder}; ls {device.folder}").split()
        run_model(device, request_of())
    left = set(board.shell(f"cd; ls {device.folder}").split()) - set(before)
    assert all(name.startswith("runner-") for name in left), left
