"""devices.toml and URIs: what they may say, and errors in the user's words."""

import pytest

from edgekit.devices.device import Address
from edgekit.devices.settings import available, configured, find
from edgekit.errors import EdgekitError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function that writes the project's devices.toml."""
    monkeypatch.chdir(tmp_path)
    return (tmp_path / "devices.toml").write_text


def test_a_uri_needs_no_file():
    assert find("local") == Address("local", "local", "local", "")
    assert find("emulated:pi4").rest == "pi4"
    assert find("ssh://pi@board:2222").rest == "pi@board:2222"
    assert find("adb:R58M12").rest == "R58M12"


def test_a_name_has_its_uri_and_options(project):
    project('[devices.desk]\nuri = "ssh://pi@board"\nrunner = "python"\npython = "/home/pi/v/bin/python"\n')
    found = find("desk")
    assert (found.name, found.scheme, found.rest) == ("desk", "ssh", "pi@board")
    assert (found.runner, found.python, found.folder) == ("python", "/home/pi/v/bin/python", None)
    assert available()[0] == "desk"


def test_the_projects_file_wins_over_the_users(project, tmp_path):
    project('[devices.a]\nuri = "emulated:pi4"\n')
    (tmp_path / "config" / "edgekit").mkdir(parents=True)
    users = tmp_path / "config" / "edgekit" / "devices.toml"
    users.write_text('[devices.a]\nuri = "emulated:pi5"\n[devices.b]\nuri = "local"\n')
    assert {name: address.uri for name, address in configured().items()} == {"a": "emulated:pi4", "b": "local"}


def test_a_variable_names_another_file(project, tmp_path, monkeypatch):
    project('[devices.a]\nuri = "emulated:pi4"\n')
    (tmp_path / "other.toml").write_text('[devices.c]\nuri = "local"\n')
    monkeypatch.setenv("EDGEKIT_DEVICES", str(tmp_path / "other.toml"))
    assert list(configured()) == ["c"]


@pytest.mark.parametrize(
    ("given", "hint"), [("emulatd:pi4", "emulated"), ("pi4", "devices.toml"), ("", "devices.toml")]
)
def test_an_unknown_device_is_told_with_near_misses(given, hint, project):
    with pytest.raises(EdgekitError) as raised:
        find(given)
    assert (raised.value.code, raised.value.exit_code) == ("EK101", 2)
    assert hint in raised.value.fix


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[devices.a", "cannot be read"),
        ("[other]\n", "tables [devices.NAME] only"),
        ("[devices.a]\n", "devices.a has no uri"),
        ("devices = 3\n", "tables [devices.NAME] only"),
        ('[devices."a b"]\nuri = "local"\n', "no name for a device"),
        ('[devices.a]\nuri = "local"\nspeed = 3\n', "devices.a.speed is not known"),
        ('[devices.a]\nuri = "local"\nrunner = "java"\n', "devices.a.runner = 'java'"),
        ('[devices.a]\nuri = "local"\nfolder = "/tmp/../etc"\n', "devices.a.folder"),
        ('[devices.a]\nuri = "local"\nfolder = "/tmp/a b"\n', "devices.a.folder"),
        ('[devices.a]\nuri = "local"\npython = "python3; reboot"\n', "devices.a.python"),
        ('[devices.a]\nuri = "local"\npackages = ["numpy>=1"]\n', "devices.a.packages"),
        ('[devices.a]\nuri = "local"\nmemory_mb = -1\n', "devices.a.memory_mb"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_the_key(text, said, project):
    project(text)
    with pytest.raises(EdgekitError) as raised:
        configured()
    assert raised.value.code == "EK106"
    assert said in raised.value.what
    assert raised.value.where == "devices.toml"
