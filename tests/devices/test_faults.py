"""From a device's words to the error that says what is wrong."""

import pytest

from edgekit.devices.device import Completed
from edgekit.devices.faults import check, code_for
from edgekit.errors import EdgekitError


@pytest.mark.parametrize(
    ("text", "exit_code", "code"),
    [
        ("cat: write error: No space left on device", 1, "EK605"),
        ("adb: error: failed to copy 'a' to '/b': remote couldn't write: Disk quota exceeded", 1, "EK605"),
        ("libLiteRt.so: failed to map segment from shared object", 1, "EK607"),
        ("error: Cannot allocate memory", 1, "EK607"),
        ("", 137, "EK607"),
        ("", -9, "EK607"),
        ("sh: ./runner: cannot execute binary file: Exec format error", 126, "EK606"),
        ("qemu-aarch64: ./a: Invalid ELF image for this architecture", 255, "EK606"),
        ("sh: python3: not found", 127, "EK606"),
        ("", -4, "EK606"),
        ("something else", 1, "EK610"),
    ],
)
def test_what_a_message_stands_for(text, exit_code, code):
    assert code_for(text, exit_code) == code


def test_a_program_that_ended_well_is_passed_on():
    done = Completed(0, b"out", b"a warning: no space left on device")
    assert check(done, "board") is done


def test_the_error_has_the_devices_words_and_the_users_name_for_it():
    with pytest.raises(EdgekitError) as raised:
        check(Completed(1, b"", b"first\ntar: can't write: No space left on device\x1b[0m\n"), "desk")
    error = raised.value
    assert (error.code, error.where, error.exit_code) == ("EK605", "desk", 3)
    assert error.what == "the device's storage is full: tar: can't write: No space left on device?[0m"
