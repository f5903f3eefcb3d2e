"""What every device can do, the same on each: files, programs, time limits, what it says about itself."""

import os

import pytest

from edgekit.devices.run_model import open_device
from edgekit.errors import EdgekitError


def test_a_device_says_what_it_is(uri):
    with open_device(uri) as device:
        info = device.info()
    assert (info.arch, info.cores, info.name) == ("aarch64", 4, uri)
    assert "cortex" in info.cpu.lower()
    assert info.dot_product == ("a76" in uri)
    assert "asimd" in info.features


def test_files_and_folders_go_there_and_back(uri, tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "data").write_bytes(data)
    (tmp_path / "sent" / "empty").touch()
    with open_device(uri) as device:
        assert not device.exists("contract-test")
        device.push(tmp_path / "sent", "contract-test")
        assert device.exists("contract-test/data")
        device.push(tmp_path / "sent" / "data", "contract-test/again")
        device.pull("contract-test/again", tmp_path / "back", len(data))
        with pytest.raises(EdgekitError) as raised:
            device.pull("contract-test/data", tmp_path / "too-long", len(data) - 1)
        device.remove("contract-test")
    assert (tmp_path / "back").read_bytes() == data
    assert raised.value.code == "EK608"
    with open_device(uri) as device:
        assert not device.exists("contract-test")


def test_words_arrive_as_they_are_and_exit_codes_come_back(remote_uri):
    words = ["a b", "$HOME", "'", '"', "*", ";", "`id`", "\\", "ü", ""]
    with open_device(remote_uri) as device:
        assert device.run(["printf", "%s\\n", *words], 60).stdout.decode().split("\n")[:-1] == words
        done = device.run(["sh", "-c", "echo out; echo err >&2; exit 7"], 60)
    assert (done.exit_code, done.stdout, done.message) == (7, b"out\n", "err")


def test_bytes_are_not_changed_on_the_way(remote_uri, tmp_path):
    everything = bytes(range(256)) * 100
    (tmp_path / "data").write_bytes(everything)
    with open_device(remote_uri) as device:
        device.push(tmp_path / "data", "all-bytes")
        device.remove("all-bytes")
        assert device.run(["cat", "all-bytes"], 60).stdout == everything
