"""Cells are computed once, kept, shown, and go on after a kill; on one machine and on several."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from edgekit.cli import main
from edgekit.errors import EdgekitError
from edgekit.sweep.cell import Result, run_cell
from edgekit.sweep.plan import read_plan
from edgekit.sweep.store import Store

PLAN = """
models = ["squeezenet1_1", "mobilenetv3_small_050"]
methods = ["none", "prune"]
ratios = [0.2, 0.99]
sizes = 32
targets = ["ort-fp32"]
samples = 4
"""


@pytest.fixture
def plan(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    file = tmp_path_factory.mktemp("sweep") / "plan.toml"
    file.write_text(PLAN)
    assert main(["sweep", str(file)]) == 0
    return file.with_suffix(".sqlite")


def results(path):
    """Everything but the times."""
    return [(row.cell.key, row.result.status, row.result.record, row.result.error) for row in Store(path).rows()]


def test_every_cell_ends_in_a_result_and_failures_are_cells_too(finished):
    rows = Store(finished).rows()
    assert len(rows) == 6
    by_status = {row.result.status for row in rows}
    assert by_status == {"ok", "failed"}
    for row in rows:
        if row.result.status == "ok":
            assert len(row.result.record["sha256"]) == 64
            assert row.result.record["macs"] > 0
        else:
            assert row.cell.ratio == 0.99
            assert row.result.error["code"] == "EK106"


def test_what_is_done_is_not_done_again(finished, capsys):
    before = results(finished)
    assert main(["sweep", str(finished.with_suffix(".toml"))]) == 0
    assert "6 cells, 0 to do" in capsys.readouterr().err
    assert results(finished) == before


def test_the_same_cell_has_the_same_result_in_workers(finished, plan):
    assert main(["sweep", str(plan), "--workers", "2"]) == 0
    assert results(plan.with_suffix(".sqlite")) == results(finished)


def test_a_run_that_is_killed_goes_on_where_it_was(plan, finished):
    store = plan.with_suffix(".sqlite")
    process = subprocess.Popen([sys.executable, "-m", "edgekit", "sweep", str(plan)], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("ok"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    done = [row for row in Store(store).rows() if row.result]
    assert 1 <= len(done) < 6
    assert main(["sweep", str(plan)]) == 0
    assert results(store) == results(finished)


def test_results_are_shown_and_exported(finished, capsys, tmp_path):
    page = tmp_path / "page.html"
    assert main(["sweep", "show", str(finished), "--page", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "squeezenet1_1" in shown
    assert "EK106" in shown
    assert page.read_text().count("<circle") == 4
    assert main(["sweep", "export", str(finished), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 6
    assert main(["sweep", "show", str(finished), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert 1 <= len(document["front"]) <= 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("sweep", "show", "nowhere.sqlite"), 2, "EK102"),
        (("sweep", "nowhere.toml"), 2, "EK102"),
        (("sweep", "PLAN", "--workers", "2", "--cluster", "tcp://localhost:1"), 2, "EK106"),
        (("sweep", "export", "nowhere.sqlite"), 2, "EK106"),
    ],
)
def test_mistakes_are_told(arguments, code, words, plan, capsys):
    assert main([str(plan) if each == "PLAN" else each for each in arguments]) == code
    assert words in capsys.readouterr().err


def test_a_file_of_something_else_is_not_touched(tmp_path, plan, capsys):
    other = tmp_path / "notes.sqlite"
    other.write_text("my notes, " * 100)
    assert main(["sweep", str(plan), "--db", str(other)]) == 2
    assert "EK102" in capsys.readouterr().err
    assert other.read_text().startswith("my notes")


def test_results_of_another_form_are_not_read(tmp_path):
    path = tmp_path / "later.sqlite"
    database = sqlite3.connect(path)
    database.execute("pragma user_version = 99")
    database.commit()
    database.close()
    with pytest.raises(EdgekitError, match="EK102"):
        Store(path)


def test_a_disk_that_is_full_is_told_and_keeps_what_is_there(tmp_path, plan, monkeypatch):
    store = Store(tmp_path / "full.sqlite")
    cells = list(read_plan(plan))
    store.add(cells)
    store.put(Result(cells[0].key, "ok", {"macs": 1}))

    class Full:
        def __getattr__(self, name):
            raise sqlite3.OperationalError("database or disk is full")

        def close(self):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: Full())
    with pytest.raises(EdgekitError, match=r"EK702.*full"):
        store.put(Result(cells[1].key, "ok"))
    monkeypatch.setattr(sqlite3, "connect", real)
    assert [row.result is not None for row in store.rows()] == [True, *[False] * 5]


def test_an_exception_in_a_cell_is_its_result(plan, monkeypatch):
    from edgekit import pipeline

    def broken(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(pipeline, "export", broken)
    result = run_cell(next(iter(read_plan(plan))))
    assert (result.status, result.error["what"]) == ("failed", "ZeroDivisionError: oh")


def test_a_dead_scheduler_is_told(plan, capsys):
    pytest.importorskip("distributed")
    from edgekit.sweep import cluster

    cluster_wait = cluster.CONNECT_S
    try:
        cluster.CONNECT_S = 1
        assert main(["sweep", str(plan), "--cluster", "tcp://127.0.0.1:1"]) == 3
    finally:
        cluster.CONNECT_S = cluster_wait
    assert "EK705" in capsys.readouterr().err


LARGE = (
    PLAN.replace('"ort-fp32"', '"ort-fp32", "tflite-fp32"')
    .replace("0.99]", "0.4, 0.99]")
    .replace("sizes = 32", "sizes = [32, 40]")
)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_that_loses_a_worker_gives_what_one_process_does(tmp_path):
    distributed = pytest.importorskip("distributed")
    from edgekit.sweep.cluster import run_cluster

    file = tmp_path / "plan.toml"
    file.write_text(LARGE)
    cells = list(read_plan(file))
    assert len(cells) >= 24
    alone, together = Store(tmp_path / "alone.sqlite"), Store(tmp_path / "together.sqlite")
    for store in (alone, together):
        store.add(cells)
    assert main(["sweep", str(file), "--db", str(alone.path)]) == 0
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local:
        killed = []

        def heard(cell, result):
            if not killed:
                killed.append(next(iter(local.workers.values())).process.process.pid)
                os.kill(killed[0], signal.SIGKILL)

        run_cluster(cells, local.scheduler_address, together, heard)
    assert killed
    assert results(together.path) == results(alone.path)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_files_reach_workers_by_their_hash_and_devices_are_resources(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    from edgekit.sweep.cluster import check_resources, check_versions, connected, run_cluster

    folder = tmp_path / "small"
    made = ["compress", "squeezenet1_1", "--weights", "random", "--input-size", "32", "--ratio", "0.3"]
    assert main([*made, "--out", str(folder)]) == 0
    file = tmp_path / "plan.toml"
    file.write_text(f'models = ["{folder}"]\ntargets = "ort-fp32"\n')
    cells = list(read_plan(file))
    store = Store(tmp_path / "plan.sqlite")
    store.add(cells)
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local:
        run_cluster(cells, local.scheduler_address, store, lambda *_: None)
        assert [row.result.status for row in store.rows()] == ["ok"]
        [kept] = (tmp_path / "cache" / "sweep").iterdir()
        assert len(kept.name) == 64
        file.write_text('models = "squeezenet1_1"\ntargets = "ort-fp32"\nmetric = "latency"\ndevices = "pi4"\n')
        with connected(local.scheduler_address) as client:
            with pytest.raises(EdgekitError, match=r"EK707.*device:pi4"):
                check_resources(client, list(read_plan(file)), local.scheduler_address)
            monkeypatch.setattr("edgekit.sweep.cluster.__version__", "0.0.1")
            with pytest.raises(EdgekitError, match="EK706"):
                check_versions(client, local.scheduler_address)
