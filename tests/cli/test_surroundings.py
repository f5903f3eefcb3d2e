"""A full or closed stream, little memory, an interrupt, a home of somebody else: one line, and the right exit code."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import typer

from edgekit import environment
from edgekit.cli import failure_of
from edgekit.devices import settings
from edgekit.devices.device import Address
from edgekit.devices.local import LocalDevice
from edgekit.errors import EdgekitError
from edgekit.recipe import Recipe, read_recipe
from edgekit.source.named_files import check_named_files

EDGEKIT = f'"{sys.executable}" -m edgekit'


def shell(command, **options):
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=100, **options)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("targets >/dev/full", 3, "EK702 cannot write: No space left on device [standard output]"),
        ("targets --json >/dev/full", 3, "EK702 cannot write: No space left on device [standard output]"),
        ("targets nothing --json >/dev/full", 2, "EK101"),
        ("targets nothing 2>/dev/full", 2, ""),
        ("targetz 2>/dev/full", 2, ""),
        ("targets >&-", 0, ""),
        ("targets <&- >&- 2>&-", 0, ""),
        ("targets nothing 2>&-", 2, ""),
    ],
)
def test_a_stream_that_takes_nothing_is_one_line_at_most(arguments, code, said):
    done = shell(f"{EDGEKIT} {arguments}")
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == bool(said)


def test_what_is_printed_to_a_closed_stream_goes_into_no_file(tmp_path):
    program = (
        "import os, sys\nfrom edgekit.__main__ import open_standard_streams\nopen_standard_streams()\n"
        f"file = open({str(tmp_path / 'file')!r}, 'wb')\nassert file.fileno() > 2\nprint('nobody')\nos.write(1, b'x')"
    )
    assert shell(f"'{sys.executable}' -c \"$P\" >&- 2>&-", env={**os.environ, "P": program}).returncode == 0
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("name", ["m\udcff", "é"])
def test_a_name_that_the_stream_cannot_write_is_still_printed(name):
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "edgekit", "targets", name]
    for options in ([], ["--json"]):
        done = subprocess.run([*command, *options], capture_output=True, check=False, env=ascii_only)
        assert done.returncode == 2
        assert b"EK101" in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr


def test_an_interrupt_while_modules_load_is_one_line():
    slow = "import edgekit.__main__ as m, os, signal, sys\nsys.modules['edgekit.cli'] = None\n"
    hit = "m.open_standard_streams = lambda: os.kill(os.getpid(), signal.SIGINT)\nm.run()"
    done = subprocess.run([sys.executable, "-c", slow + hit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "edgekit: interrupted\n")


def test_an_interrupt_at_any_time_is_no_traceback():
    for wait in (0.05, 0.2, 0.4, 0.8):
        command = [sys.executable, "-m", "edgekit", "targets"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
        if process.returncode != -signal.SIGINT and "<frozen site>" not in said:  # else Python itself had not started
            assert "Traceback" not in said
            assert process.returncode in (0, 130)


def test_an_interrupt_inside_an_import_is_raised_behind_it(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import os, signal, time\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(0.1)\n"
        "except BaseException:\n    print('swallowed')\n"
    )
    program = (
        "import signal, sys, time\nfrom edgekit.__main__ import Interrupt\nheard = Interrupt()\n"
        "signal.signal(signal.SIGINT, heard.asked)\nsignal.signal(signal.SIGALRM, heard.again)\n"
        "try:\n    import slow\n    time.sleep(2)\nexcept KeyboardInterrupt:\n    print('told', 'slow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("told True\n", "")


def test_a_second_interrupt_does_not_wait():
    program = (
        "import signal\nfrom edgekit.__main__ import Interrupt\nheard = Interrupt()\n"
        "class Frame:\n    f_back = None\n    class f_code:\n        co_name, co_filename = '__del__', ''\n"
        "heard.asked(2, Frame)\ntry:\n    heard.asked(2, Frame)\nexcept KeyboardInterrupt:\n    print('told')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "told\n", done.stderr


def test_too_little_memory_for_the_libraries_is_one_line():
    done = shell(f"ulimit -v 500000; {EDGEKIT} export mobilenet_v2 --weights random -t ort-fp32 -q --out /nowhere/x")
    assert "Traceback" not in done.stderr
    assert done.returncode in (2, 3), done.stderr


# what a command ends with


@pytest.mark.parametrize(
    ("error", "code", "where"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/x"), "EK702", "out/x"),
        (OSError(errno.EROFS, "Read-only file system", "out/x"), "EK702", "out/x"),
        (OSError(errno.ENOSPC, "No space left on device"), "EK702", "standard output"),
        (PermissionError(errno.EACCES, "Permission denied", "x.pth"), "EK102", "x.pth"),
        (OSError(errno.ENAMETOOLONG, "File name too long", b"a\xff"), "EK102", "a\udcff"),
        (MemoryError(), "EK704", "this host"),
        (ImportError("libx.so: failed to map segment from shared object"), "EK704", "this host"),
    ],
)
def test_an_error_of_the_system_is_one_of_edgekits(error, code, where):
    found = failure_of(error)
    assert (found.code, found.where) == (code, where)


def test_an_interrupt_is_told_from_the_end_of_a_file():
    assert failure_of(KeyboardInterrupt()) is None
    assert failure_of(typer.Abort()) is None
    with pytest.raises(typer.Abort) as raised:
        raise typer.Abort from EOFError()
    assert failure_of(raised.value).code == "EK102"


def test_a_missing_module_is_not_hidden():
    with pytest.raises(ModuleNotFoundError):
        failure_of(ModuleNotFoundError("no module named x"))


# where things are kept


def test_a_user_without_a_home_has_a_cache_in_the_temporary_folder(monkeypatch):
    for name in ("HOME", "EDGEKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert str(os.getuid()) in str(environment.cache_dir())


@pytest.mark.parametrize("name", ["n" * 300, "a/" * 3000 + "b"])
def test_a_configuration_that_cannot_be_looked_at_is_none(monkeypatch, name):
    monkeypatch.setenv("EDGEKIT_DEVICES", name)
    assert settings.configured() == {}


@pytest.mark.parametrize("text", [b"a = " + b"[" * 5000, b"\xff", b"["])
def test_settings_and_recipes_of_any_bytes_are_one_message(monkeypatch, tmp_path, text):
    (tmp_path / "file.toml").write_bytes(text)
    monkeypatch.setenv("EDGEKIT_DEVICES", str(tmp_path / "file.toml"))
    for read in (settings.configured, lambda: read_recipe(tmp_path / "file.toml")):
        with pytest.raises(EdgekitError) as raised:
            read()
        assert raised.value.code == "EK106"


def test_a_pipe_is_no_recipe_model_or_weights(tmp_path):
    pipe = tmp_path / "model.onnx"
    os.mkfifo(pipe)
    for read in (
        lambda: read_recipe(pipe),
        lambda: check_named_files(Recipe(str(pipe), ("ort-fp32",))),
        lambda: check_named_files(Recipe("/dev/zero", ("ort-fp32",))),
        lambda: check_named_files(Recipe("resnet20_cifar", ("ort-fp32",), weights=str(pipe))),
        lambda: check_named_files(Recipe("n" * 300 + ".onnx", ("ort-fp32",))),
    ):
        with pytest.raises(EdgekitError) as raised:
            read()
        assert raised.value.code == "EK102"


@pytest.mark.parametrize("model", ["resnet20_cifar", "timm:resnet18", "nowhere.onnx", "nowhere.py:make"])
def test_a_name_that_is_no_file_is_left_to_its_reader(model):
    check_named_files(Recipe(model, ("ort-fp32",), weights="random"))


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="takes root to mount a small disk")
def test_a_full_cache_says_so(tmp_path):
    disk, data = tmp_path / "disk", tmp_path / "data"
    disk.mkdir()
    data.mkdir()
    (data / "file").write_bytes(bytes(1 << 20))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("no mount here")
    try:
        device = LocalDevice(Address("local", "local", "local", "", folder=str(disk / "devices")))
        with pytest.raises(EdgekitError) as raised:
            device.push(data, "data")
    finally:
        subprocess.run(["umount", disk], check=True)
    assert raised.value.code == "EK605"
    assert "No space left on device" in raised.value.what


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_no_fault_of_the_runner(tmp_path, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr(shutil, "copy", refuse)
    device = LocalDevice(Address("local", "local", "local", "", folder=str(tmp_path)))
    with pytest.raises(EdgekitError, match="EDGEKIT_CACHE") as raised:
        device.push(tmp_path / "file", "file")
    assert raised.value.code == "EK702"
