"""Ports of this machine, for the servers that tests start."""

import socket
import time

import pytest

START_TIMEOUT_S = 20.0


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on port {port}")


def free_port() -> int:
    """A free port of loopback outside of 5554..5585, where adb looks for emulators of its own."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if not 5554 <= port <= 5585:
            return port
