"""A cache of their own for the tests of devices: nothing is found there, and nothing is left in the user's."""

import pytest

from edgekit.devices.device import Address
from edgekit.devices.local import LocalDevice


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGEKIT_DEVICES", raising=False)


@pytest.fixture
def local(tmp_path):
    """This host, with a folder of the test's own."""
    with LocalDevice(Address("local", "local", "local", "", folder=str(tmp_path / "device"))) as device:
        yield device
