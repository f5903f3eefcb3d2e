"""The history file loses nothing: not to another process, a full disk or a killed one."""

import json
import subprocess
import sys

import pytest

from edgekit.bench.history import append, read
from edgekit.errors import EdgekitError


def test_what_was_appended_is_read_in_order(tmp_path):
    path = tmp_path / "new" / "history.jsonl"
    append(path, [{"run": 1}])
    append(path, [{"run": 2}, {"run": 3}])
    assert [document["run"] for document in read(path)] == [1, 2, 3]


def test_a_line_that_a_killed_process_left_is_passed_over_and_kept(tmp_path):
    path = tmp_path / "history.jsonl"
    append(path, [{"run": 1}])
    with path.open("a") as file:
        file.write('{"run": 2, "summ')
    append(path, [{"run": 3}])
    assert [document["run"] for document in read(path)] == [1, 3]
    assert '{"run": 2, "summ\n' in path.read_text()


APPEND = """
import signal, resource, sys
from pathlib import Path
from edgekit.bench.history import append
path, first, last, limit = Path(sys.argv[1]), *map(int, sys.argv[2:])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for run in range(first, last):
    append(path, [{"run": run, "filler": "x" * 20_000}])
"""


def start_appending(path, first, last, limit_bytes=0):
    arguments = [sys.executable, "-c", APPEND, str(path), str(first), str(last), str(limit_bytes)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    path = tmp_path / "history.jsonl"
    writers = [start_appending(path, first, first + 50) for first in (0, 1000)]
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    assert sorted(document["run"] for document in read(path)) == [*range(50), *range(1000, 1050)]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "history.jsonl"
    append(path, [{"run": 1}])
    before = path.read_bytes()
    _, told = start_appending(path, 2, 3, limit_bytes=len(before) + 1000).communicate()
    assert "EK702 the results cannot be kept: File too large" in told
    assert path.read_bytes() == before


def test_a_file_that_is_not_there_or_no_text_is_an_error(tmp_path):
    with pytest.raises(EdgekitError) as missing:
        read(tmp_path / "none.jsonl")
    assert missing.value.code == "EK102"
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EdgekitError) as binary:
        read(tmp_path / "binary")
    assert binary.value.code == "EK102"


def test_lines_that_are_no_object_are_passed_over(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(f"3\n[1]\nnothing\n\n{json.dumps({'run': 1})}\n")
    assert read(path) == [{"run": 1}]
