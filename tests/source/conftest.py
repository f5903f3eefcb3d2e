"""A local server of weights files, and small pictures."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; a path that is not there is a 404."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body, said = self.server.files.get(self.path, (None, None))
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        if said is not None:
            self.send_header("Content-Length", str(said))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class Server(ThreadingHTTPServer):
    """An HTTP server on this machine. Args: asked: paths in the order they were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked = {}, []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def put(self, path: str, body: bytes, said: int | None = -1) -> str:
        """Serve `body` under `path`; `said` is its Content-Length, None for none. Returns the URL."""
        self.files[path] = (body, len(body) if said == -1 else said)
        return self.url(path)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of this test's own."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"
