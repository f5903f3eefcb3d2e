"""Files that a user names: regular, not too large, or one message that says what is there instead."""

import os
import socket
import subprocess
import sys

import pytest

from edgekit.errors import EdgekitError
from edgekit.files import check_regular, in_words, is_folder, read_regular, status
from edgekit.images.folder import ImageFolder
from edgekit.images.labels import read_labels


def refused(call):
    with pytest.raises(EdgekitError) as raised:
        call()
    assert raised.value.code == "EK102"
    return raised.value.what


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    return tmp_path / "pipe.zip"


@pytest.mark.parametrize("read", [read_regular, check_regular])
def test_no_device_pipe_socket_or_folder_is_read(read, pipe, tmp_path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        kinds = {"/dev/zero": "a device", pipe: "a pipe", tmp_path / "s": "a socket", tmp_path: "a folder"}
        for path, kind in kinds.items():
            assert refused(lambda path=path: read(path, 100, "the labels")) == (
                f"cannot read the labels: {kind} is there, not a regular file"
            )


def test_a_link_to_a_device_is_a_device(tmp_path):
    (tmp_path / "model.onnx").symlink_to("/dev/zero")
    assert "a device" in refused(lambda: read_regular(tmp_path / "model.onnx", 100))


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 2048)
    assert read_regular(tmp_path / "f", 2048) == b"x" * 2048
    assert "larger than 2 kB" in refused(lambda: read_regular(tmp_path / "f", 2047))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)
    refused(lambda: read_regular(tmp_path / "f", 1 << 20))


def test_a_file_that_says_it_is_empty_and_is_not_is_read_to_the_limit():
    refused(lambda: read_regular("/proc/self/maps", 10))


@pytest.mark.parametrize("path", ["a" * 300, "a\0b", "/" + "d/" * 3000])
def test_a_path_that_cannot_be_is_one_message(path):
    for look in (status, is_folder, lambda path: read_regular(path, 10)):
        refused(lambda look=look: look(path))


def test_nothing_there_is_nothing(tmp_path):
    assert status(tmp_path / "no") is None
    assert not is_folder(tmp_path / "no" / "deeper")
    assert "No such file" in refused(lambda: read_regular(tmp_path / "no", 10))


def test_a_circle_of_links_is_one_message(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "a")
    refused(lambda: status(tmp_path / "a"))


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody without rights")
def test_a_path_without_rights_is_one_message(tmp_path):
    (tmp_path / "private" / "images").mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    program = (
        "import os, sys\nfrom edgekit.files import status\nfrom edgekit.errors import EdgekitError\nos.setuid(12345)\n"
        "try: status(sys.argv[1])\nexcept EdgekitError as error: print(error.code, error.what)"
    )
    command = [sys.executable, "-c", program, tmp_path / "private" / "images"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("EK102 cannot read")


@pytest.mark.parametrize("read", [ImageFolder.open, read_labels])
def test_images_and_labels_are_no_pipes(read, pipe):
    assert "a pipe is there" in refused(lambda: read(pipe))


def test_sizes_in_words():
    assert [in_words(size) for size in (12, 1 << 10, 3 << 19, 8 << 30)] == ["12 bytes", "1 kB", "1.5 MB", "8 GB"]
