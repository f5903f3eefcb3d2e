"""A lab on loopback: labgrid's own coordinator and exporter, and the board behind the place."""

import importlib.util
import json
import subprocess
import sys
import time

import pytest
from loopback import free_port, wait_for_port

MATCH_TIMEOUT_S = 20.0


@pytest.fixture
def lab(sshd, ssh_uri, tmp_path, monkeypatch):
    """`lab(*words)` runs labgrid-client; the board is exported, and the place `bench` matches it."""
    if importlib.util.find_spec("labgrid") is None:
        pytest.skip("labgrid not installed")
    port = free_port()
    coordinator = f"127.0.0.1:{port}"
    monkeypatch.setenv("LG_COORDINATOR", coordinator)
    service = f"{{address: 127.0.0.1, username: {ssh_uri[6:].partition('@')[0]}, port: {sshd.port}}}"
    (tmp_path / "exported.yaml").write_text(f"board:\n  NetworkService: {service}\n")
    quiet = {"cwd": tmp_path, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    module = [sys.executable, "-m"]
    started = [subprocess.Popen([*module, "labgrid.remote.coordinator", "-l", coordinator], **quiet)]
    wait_for_port(port)
    exporter = [*module, "labgrid.remote.exporter", "--coordinator", coordinator, "--name", "exp", "exported.yaml"]
    started.append(subprocess.Popen(exporter, **quiet))

    def client(*words: str) -> str:
        command = [*module, "labgrid.remote.client", "-x", coordinator, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False).stdout

    deadline = time.monotonic() + MATCH_TIMEOUT_S
    while "NetworkService" not in client("resources") and time.monotonic() < deadline:
        time.sleep(0.2)
    client("-p", "bench", "create")
    client("-p", "bench", "add-match", "exp/board/*")
    yield client
    for process in started:
        process.kill()
        process.wait()


def look_at(name: str) -> dict:
    """In a process of its own: labgrid keeps one session per process."""
    command = [sys.executable, "-m", "edgekit", "devices", name, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return json.loads(done.stdout)["devices"][0]


def test_a_place_is_a_device_once_it_is_acquired(lab):
    before = look_at("labgrid:bench")["error"]
    assert (before["code"], before["exit_code"]) == ("EK601", 3)
    assert "labgrid-client -p bench acquire" in before["fix"]
    lab("-p", "bench", "acquire")
    assert look_at("labgrid:bench")["arch"] == "aarch64"
