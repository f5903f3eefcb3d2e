"""Downloads from a server on this machine: believed by their hash only, and never half there."""

import hashlib
import os
import resource
import socket

import pytest

from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError
from edgekit.source.download import CHUNK_BYTES, download

BODY = bytes(range(256)) * 3000  # three chunks
SHA256 = hashlib.sha256(BODY).hexdigest()


def refused(url, sha256=SHA256, code="EK105"):
    with pytest.raises(EdgekitError) as raised:
        download(url, sha256)
    assert raised.value.code == code
    return raised.value


def held(cache):
    """What lies in the cache, half-written files included."""
    return sorted(os.listdir(cache)) if cache.exists() else []


def test_a_file_with_the_right_hash_is_in_the_cache_under_its_own_name(server, cache):
    path = download(server.put("/models/net-1.pth?x=1", BODY), SHA256)
    assert path == cache / "net-1.pth"
    assert path.read_bytes() == BODY
    assert held(cache) == ["net-1.pth"]


def test_the_first_digits_of_a_hash_are_enough(server, cache):
    url = server.put("/net.pth", BODY)
    assert download(url, SHA256[:8]).read_bytes() == BODY
    assert download(url, SHA256[:8]).read_bytes() == BODY
    assert len(server.asked) == 1


def test_a_cached_file_is_used_without_the_network(server, cache):
    url = server.put("/net.pth", BODY)
    download(url, SHA256)
    server.files.clear()
    assert download(url, SHA256).read_bytes() == BODY
    assert server.asked == ["/net.pth"]


def test_a_cached_file_of_another_hash_is_replaced(server, cache):
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(BODY[:1000])
    assert download(server.put("/net.pth", BODY), SHA256).read_bytes() == BODY


def test_another_hash_is_refused_and_leaves_nothing(server, cache):
    error = refused(server.put("/net.pth", BODY), "0" * 64)
    assert SHA256[:12] in error.what
    assert "0" * 64 in error.what
    assert held(cache) == []


def test_a_failed_download_leaves_the_older_file_alone(server, cache):
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(b"older")
    refused(server.put("/net.pth", BODY), "0" * 64)
    assert (cache / "net.pth").read_bytes() == b"older"
    assert held(cache) == ["net.pth"]


def test_a_missing_file_is_named_with_the_servers_answer(server, cache):
    error = refused(server.url("/no.pth"))
    assert "404" in error.what
    assert error.where == server.url("/no.pth")
    assert str(cache / "no.pth") in error.fix
    assert held(cache) == []


def test_a_refused_connection_says_so(cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "refused" in refused(f"http://127.0.0.1:{port}/net.pth").what
    assert held(cache) == []


def test_a_connection_that_ends_early_is_not_a_wrong_hash(server, cache):
    error = refused(server.put("/net.pth", BODY[:-7], said=len(BODY)))
    assert f"ended after {len(BODY) - 7} of {len(BODY)} bytes" in error.what
    assert held(cache) == []


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp:/x"])
def test_an_impossible_address_is_a_failed_download(cache, url):
    refused(url)
    assert held(cache) == []


@pytest.mark.parametrize("said", [-1, None])
def test_progress_counts_bytes_up_to_the_total_where_the_server_says_it(server, cache, said):
    seen = []
    download(server.put("/net.pth", BODY, said), SHA256, lambda *at: seen.append(at))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == len(BODY)
    assert len(done) >= len(BODY) // CHUNK_BYTES
    assert set(totals) == {len(BODY) if said == -1 else None}


def test_a_cache_that_cannot_be_made_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    error = refused(server.put("/net.pth", BODY), code="EK702")
    assert "EDGEKIT_CACHE" in error.fix


@pytest.mark.parametrize("size", [100, len(BODY)], ids=["fails when closed", "fails when written"])
def test_a_full_disk_is_no_failed_download(server, cache, size):
    body = BODY[:size]
    url, limits = server.put("/net.pth", body), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        error = refused(url, hashlib.sha256(body).hexdigest(), code="EK702")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "too large" in error.what
    assert held(cache) == []


def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGEKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "edgekit"
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("EDGEKIT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "edgekit"
