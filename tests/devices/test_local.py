"""The contract of a device, shown on this host: files, programs, time limits. tests/device/ holds it for the others."""

import pytest

from edgekit.devices.device import safe_name
from edgekit.errors import EdgekitError


def test_a_file_goes_there_and_back(local, tmp_path):
    (tmp_path / "a").write_bytes(b"\0data")
    local.push(tmp_path / "a", "folder/a.bin")
    assert local.exists("folder/a.bin")
    local.pull("folder/a.bin", tmp_path / "b", 5)
    assert (tmp_path / "b").read_bytes() == b"\0data"
    local.remove("folder")
    assert not local.exists("folder/a.bin")


def test_a_folder_that_is_there_stays_as_it_is(local, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_text("first")
    local.push(tmp_path / "one", "kept")
    (tmp_path / "one" / "a").write_text("second")
    local.push(tmp_path / "one", "kept")
    assert local.run(["cat", "kept/a"], 20).stdout == b"first"


def test_more_than_is_expected_is_not_fetched(local, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    local.push(tmp_path / "a", "a")
    with pytest.raises(EdgekitError) as raised:
        local.pull("a", tmp_path / "b", 4)
    assert raised.value.code == "EK608"


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../b", "a b", "a;b", "-a", "a/", "a//b", ".a", "$(x)"])
def test_only_names_that_edgekit_made_reach_a_device(name):
    with pytest.raises(ValueError, match="is not a name"):
        safe_name(name)


def test_words_arrive_as_they_are(local):
    words = ["a b", "$HOME", "'", '"', "*", ";", "ü", ""]
    done = local.run(["printf", "%s\\n", *words], 20)
    assert done.stdout.decode().split("\n")[:-1] == words


def test_a_program_that_hangs_is_ended(local):
    with pytest.raises(EdgekitError) as raised:
        local.run(["sleep", "100"], 0.3)
    assert (raised.value.code, raised.value.exit_code) == ("EK603", 3)


def test_a_program_that_is_not_there_is_told(local):
    with pytest.raises(EdgekitError) as raised:
        local.run(["./no-such-program"], 20)
    assert raised.value.code == "EK606"
