"""`edgekit doctor` looks after what pyproject.toml asks for, and after the packages that add to edgekit."""

import json
import re
import tomllib

import pytest

from edgekit.cli import main

METADATA = "Metadata-Version: 2.1\nName: adds-to-it\nVersion: 1.0\n"
GROUPS = ("edgekit.models", "edgekit.targets", "edgekit.devices")


@pytest.fixture
def doctor(capsys):
    """`doctor()`: exit code and document."""

    def run():
        code = main(["doctor", "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def names(requirements):
    return [re.match(r"[\w.-]+", requirement)[0] for requirement in requirements]


def test_it_looks_for_what_edgekit_depends_on(repository, doctor):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    code, document = doctor()
    assert (code, document["error"]) == (0, None)
    assert list(document["packages"]) == ["python", "edgekit", *names(project["dependencies"])]
    asked = names(one for extra in extras.keys() - {"dev"} for one in extras[extra])
    assert document["optional"].keys() == set(asked) - document["packages"].keys()


@pytest.mark.parametrize("group", GROUPS)
def test_a_package_that_adds_to_edgekit_has_needs_of_its_own(group, doctor, tmp_path, monkeypatch):
    folder = tmp_path / "adds_to_it-1.0.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text(f"[{group}]\nname = adds_to_it\n")
    (folder / "METADATA").write_text(f"{METADATA}Requires-Dist: not-there (>=2)\nRequires-Dist: no; extra == 'all'\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, document = doctor()
    assert code == 3
    assert (document["packages"]["adds-to-it"], document["packages"]["not-there"]) == ("1.0", None)
    assert (document["error"]["code"], document["error"]["what"]) == ("EK701", "not installed: not-there")
