"""Drivers: found by their scheme, and errors before anything is connected."""

import pytest

from edgekit.devices.device import drivers
from edgekit.devices.run_model import open_device
from edgekit.errors import EdgekitError


def test_every_scheme_has_a_driver():
    assert drivers.names() == ["adb", "emulated", "labgrid", "local", "ssh"]
    assert all(driver.form.startswith(name) for name, driver in zip(drivers.names(), drivers, strict=True))


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)


@pytest.mark.parametrize(
    ("uri", "said"),
    [("emulated:pi4", "qemu-user"), ("ssh://board", "openssh-client"), ("adb:123", "apt-get install adb")],
)
def test_a_missing_tool_is_told_with_its_package(uri, said, nothing_installed):
    with pytest.raises(EdgekitError) as raised, open_device(uri):
        pass
    assert (raised.value.code, raised.value.exit_code, raised.value.where) == ("EK609", 3, uri)
    assert said in raised.value.fix


def test_a_lab_without_labgrid_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "labgrid", None)
    with pytest.raises(EdgekitError) as raised, open_device("labgrid:bench"):
        pass
    assert (raised.value.code, raised.value.fix) == ("EK701", "pip install 'edgekit[labgrid]'")


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("ssh://-oProxyCommand=reboot", "EK106"),
        ("ssh://a b", "EK106"),
        ("ssh://user@host:port", "EK106"),
        ("ssh://", "EK106"),
        ("adb:-s", "EK106"),
        ("adb:a b", "EK106"),
        ("labgrid:*", "EK106"),
        ("emulated:cortex-a99", "EK101"),
        ("emulated:max", "EK101"),
    ],
)
def test_a_place_that_is_none_never_reaches_a_command(uri, code, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("something was started"))
    with pytest.raises(EdgekitError) as raised, open_device(uri):
        pass
    assert raised.value.code == code


def test_the_near_core_is_suggested():
    with pytest.raises(EdgekitError) as raised, open_device("emulated:cortex-a77"):
        pass
    assert "cortex-a76" in raised.value.fix
