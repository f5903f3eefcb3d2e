"""One edgekit process per device."""

import subprocess
import sys

import pytest

from edgekit.devices.lock import locked
from edgekit.errors import EdgekitError

HOLD = """
import sys
from edgekit.devices.lock import locked
with locked("ssh://board", "board"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder():
    """Another process that holds the board."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_has_it(holder):
    with pytest.raises(EdgekitError) as raised, locked("ssh://board", "board"):
        pass
    assert (raised.value.code, raised.value.where) == ("EK604", "board")
    assert f"process {holder.pid}" in raised.value.what


def test_another_device_is_free(holder):
    with locked("ssh://other", "other"):
        pass


def test_the_lock_ends_with_its_process(holder):
    holder.kill()
    holder.wait()
    with locked("ssh://board", "board"):
        pass


def test_it_can_be_taken_again():
    for _ in range(2):
        with locked("ssh://board", "board"):
            pass
