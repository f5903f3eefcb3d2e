"""A folder takes the place of another: whole at every instant, and nothing of the user's is ever lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgekit.bundle.replace import check_replaceable, replace_folder, sweep
from edgekit.errors import EdgekitError

PROGRAM = Path(__file__).with_name("replacement.py")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def manifest(*names, **further):
    listed = {name: {} for name in names}
    return json.dumps({"format": 2, "model": "m", "target": "t", "files": listed, **further}).encode()


OLD = {"manifest.json": manifest("a", "golden/b", "only-old"), "a": b"old", "golden/b": b"old", "only-old": b"old"}


@pytest.fixture
def place(tmp_path):
    return tmp_path / "build" / "m" / "t"


def tree(folder):
    """Path -> bytes of all files in a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(call):
    with pytest.raises(EdgekitError) as raised:
        call()
    assert raised.value.code == "EK702"
    return raised.value


def run(place, number=signal.SIGKILL, at=0, *options):
    command = [sys.executable, PROGRAM, place, str(int(number)), str(at), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# what may be replaced


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": b"mine"},
        {"manifest.json": b"{}", "icon.png": b"of a web app"},
        {"manifest.json": b'{"manifest_version": 3, "name": "of a browser extension"}', "a": b""},
        {"manifest.json": b'{"format": "2", "model": "m", "target": "t"}'},
        {"manifest.json": b"[" * 100_000},
        {"manifest.json": b"\xff\xfe"},
        {"manifest.json": manifest("a", kind="android module")},
        {"manifest.json": manifest("a", kind=["bundle"])},
    ],
)
def test_a_folder_that_edgekit_did_not_write_is_named_and_stays(place, files):
    for name, data in files.items():
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    error = refused(lambda: replace_folder(place, OLD))
    assert sorted(files)[0] in error.what
    assert error.where == str(place)
    assert tree(place.parent) == {f"t/{name}": data for name, data in files.items()}


def test_a_manifest_that_is_a_pipe_is_not_read(place):
    place.mkdir(parents=True)
    os.mkfifo(place / "manifest.json")
    refused(lambda: check_replaceable(place))


def test_a_link_to_a_bundle_is_not_replaced(place, tmp_path):
    replace_folder(tmp_path / "elsewhere", OLD)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    refused(lambda: replace_folder(place, OLD))
    assert tree(tmp_path / "elsewhere") == OLD


def test_an_empty_folder_is_a_place_like_any(place):
    place.mkdir(parents=True)
    replace_folder(place, OLD)
    assert tree(place.parent.parent) == {f"m/t/{name}": data for name, data in OLD.items()}


def test_a_module_takes_the_place_of_a_module_alone(place):
    module = {"manifest.json": manifest("a", kind="android module"), "a": b""}
    replace_folder(place, module, "android module")
    replace_folder(place, module, "android module")
    assert "not a bundle" in refused(lambda: replace_folder(place, OLD)).what
    assert tree(place) == module


# what is the user's


def test_files_folders_and_links_of_the_user_go_along(place, tmp_path):
    replace_folder(place, OLD)
    (tmp_path / "far").write_text("away")
    (place / "notes.txt").write_text("mine")
    (place / "golden" / "mine.png").write_text("mine")
    (place / "mine" / "deep").mkdir(parents=True)
    (place / "mine" / "deep" / "er").write_text("mine")
    (place / "link").symlink_to(tmp_path / "far")
    replace_folder(place, {"manifest.json": manifest("new"), "new": b""})
    assert tree(place).keys() == {"manifest.json", "new", "notes.txt", "golden/mine.png", "mine/deep/er", "link"}
    assert (place / "link").is_symlink()
    assert os.listdir(place.parent) == ["t"]


def test_a_file_of_the_user_with_the_name_of_a_new_one_is_not_overwritten(place):
    replace_folder(place, OLD)
    (place / "labels.txt").write_text("mine")
    new = {"manifest.json": manifest("labels.txt"), "labels.txt": b"theirs"}
    assert "labels.txt is there" in refused(lambda: replace_folder(place, new)).what
    assert tree(place) == {**OLD, "labels.txt": b"mine"}
    assert os.listdir(place.parent) == ["t"]


def test_a_manifest_that_lists_files_outside_deletes_none_of_them(place, tmp_path):
    outside, linked = tmp_path / "outside", tmp_path / "linked"
    for folder in (outside, linked):
        folder.mkdir()
        (folder / "mine").write_text("mine")
    place.mkdir(parents=True)
    listed = manifest("../../../outside/mine", str(outside / "mine"), "way/mine")
    (place / "manifest.json").write_bytes(listed)
    (place / "way").symlink_to(linked)
    replace_folder(place, OLD)
    assert tree(outside) == tree(linked) == {"mine": b"mine"}


def test_the_users_umask_decides_who_may_read(place):
    before = os.umask(0o077)
    try:
        replace_folder(place, OLD)
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / "a").stat().st_mode & 0o777 == 0o600


def test_a_place_whose_name_fills_the_file_system_works(tmp_path):
    place = tmp_path / ("n" * 255)
    for _ in range(2):
        replace_folder(place, OLD)
    assert tree(place) == OLD


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_a_place_whose_name_cannot_be_is_one_message(tmp_path, name):
    refused(lambda: replace_folder(tmp_path / name, OLD))
    assert os.listdir(tmp_path) == []


# what ends in the middle


def check_whole(place):
    """The old or the new folder is there with every file; afterwards the next run leaves it and the user's files alone.

    Nothing else is left.
    """
    sweep(place.parent)
    new = {name: data for name, data in tree(place).items() if name != "notes.txt"}
    assert new == OLD or (set(new.values()) == {b"new", new["manifest.json"]} and len(new) == 4)
    assert run(place).returncode == 0
    assert sorted(tree(place)) == ["a", "c", "golden/b", "manifest.json", "notes.txt"]
    assert os.listdir(place.parent) == ["t"]


def signalled(place, number, at, *options):
    """A replacement of an old bundle with notes in it that got the signal at its n-th event."""
    shutil.rmtree(place.parent, ignore_errors=True)
    replace_folder(place, OLD)
    (place / "notes.txt").write_text("mine")
    done = run(place, number, at, *options)
    assert done.returncode != 0, done
    if not options:  # at this very instant, before anybody mends anything
        assert {name: tree(place).get(name) for name in ("a", "golden/b")} in (
            {"a": b"old", "golden/b": b"old"},
            {"a": b"new", "golden/b": b"new"},
        )
    check_whole(place)


def events(place, *options):
    replace_folder(place, OLD)
    return int(run(place, signal.SIGKILL, 0, *options).stdout)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("options", [(), ("without-exchange",)], ids=["exchange", "two renames"])
def test_a_run_that_is_ended_leaves_the_old_or_the_new_bundle(place, number, options):
    count = events(place, *options)
    assert count > 40
    for at in range(3, count, count // 5):
        signalled(place, number, at, *options)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("options", [(), ("without-exchange",)], ids=["exchange", "two renames"])
def test_a_run_that_is_ended_at_any_event_leaves_the_old_or_the_new_bundle(place, number, options):
    for at in range(1, events(place, *options) + 1):
        signalled(place, number, at, *options)


CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\(", re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_run_that_is_ended_between_any_two_system_calls_leaves_the_old_or_the_new_bundle(place, tmp_path, number):
    def traced(*options):
        shutil.rmtree(place.parent, ignore_errors=True)
        replace_folder(place, OLD)
        (place / "notes.txt").write_text("mine")
        command = ["strace", "-o", tmp_path / "calls", *options, sys.executable, PROGRAM, place, "0", "0"]
        subprocess.run(command, capture_output=True, check=False)
        return (tmp_path / "calls").read_text()

    calls = traced().splitlines()
    first = next(i for i, line in enumerate(calls) if ".edgekit-" in line or str(place.parent) in line)
    seen, placed = Counter(), []
    for i, line in enumerate(calls):
        if found := CALL.match(line):
            seen[found[1]] += 1
            if i >= first and found[1] != "exit_group":
                placed.append((found[1], seen[found[1]]))
    assert len(placed) > 100
    for name, nth in placed[:: 1 if number == signal.SIGKILL else 3]:
        traced("-e", f"inject={name}:signal={number.name}:when={nth}")
        check_whole(place)


def test_an_error_in_the_middle_leaves_the_old_bundle_and_nothing_beside_it(place):
    replace_folder(place, OLD)
    refused(lambda: replace_folder(place, {"manifest.json": manifest("a"), "a": b"x", "a/b": b"no folder"}))
    assert tree(place) == OLD
    assert os.listdir(place.parent) == ["t"]


def test_two_runs_into_one_place_both_end_and_one_of_them_is_there(place):
    replace_folder(place, OLD)

    def replace_often(letter):
        for _ in range(100):
            replace_folder(place, {"manifest.json": manifest(letter), letter: letter.encode() * 1000})

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(replace_often, letter) for letter in "wxyz"]:
            done.result()
    assert len(tree(place)) == 2
    assert os.listdir(place.parent) == ["t"]


def test_two_processes_without_an_exchange_both_end_too(place):
    replace_folder(place, OLD)
    with ThreadPoolExecutor(6) as pool:
        ended = list(pool.map(lambda _: run(place, signal.SIGKILL, 0, "without-exchange"), range(18)))
    assert {done.returncode for done in ended} == {0}, [done.stderr for done in ended if done.returncode]
    assert set(tree(place).values()) > {b"new"}
    assert os.listdir(place.parent) == ["t"]


def test_what_a_living_process_is_writing_is_not_swept(place):
    import fcntl

    replace_folder(place, OLD)
    workspace = place.parent / ".edgekit-abcdefgh"
    (workspace / "writing").mkdir(parents=True)
    with open(workspace / "lock", "w") as lock:
        lock.write("t")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        replace_folder(place, OLD)
        assert workspace.is_dir()
    replace_folder(place, OLD)
    assert not workspace.exists()


def test_a_hidden_folder_of_the_users_stays_whatever_its_name(place):
    replace_folder(place, OLD)
    for name in (".edgekit-mine", ".t-mine"):
        (place.parent / name).mkdir()
        (place.parent / name / "notes.txt").write_text("mine")
    replace_folder(place, OLD)
    assert sorted(os.listdir(place.parent)) == [".edgekit-mine", ".t-mine", "t"]
