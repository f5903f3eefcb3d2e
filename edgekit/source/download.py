"""Official weights files: downloaded once into the user's cache, and only believed when their hash is right."""

import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Generator
from contextlib import closing
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError
from edgekit.progress import Step
from edgekit.source.checkpoint import file_sha256

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30


def download(url: str, sha256: str, progress: Step | None = None) -> Path:
    """The file behind `url`, from the cache where it is there already.

    Args:
        sha256: the file's SHA-256, or as many first digits of it as the publisher gives.
        progress: called with (bytes so far, bytes in total or None).

    Errors:
        EK105 no network, an HTTP error or another hash; EK702 the cache cannot be written.
    """
    target = cache_dir() / "weights" / PurePosixPath(urlsplit(url).path).name
    if target.is_file() and file_sha256(target).startswith(sha256):
        return target
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        part, digest = Path(name), hashlib.sha256()
        with os.fdopen(handle, "wb") as file, closing(_receive(url, target, progress)) as chunks:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
        found = digest.hexdigest()
        if not found.startswith(sha256):
            raise _failed(url, target, f"the file's SHA-256 starts with {found[:12]}, the published one with {sha256}")
        os.replace(part, target)
    except OSError as error:  # of the cache alone: what the network raises is EK105 already
        raise EdgekitError(
            "EK702",
            what=f"the cache cannot be written: {error.strerror}",
            where=str(target.parent),
            fix="free some space, or set EDGEKIT_CACHE to a folder that can be written",
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return target


def _receive(url: str, target: Path, progress: Step | None) -> Generator[bytes, None, None]:
    """The bytes behind `url`, chunk by chunk; EK105 where they do not all come."""
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            length = answer.headers.get("Content-Length")
            total = int(length) if length else None
            while chunk := answer.read(CHUNK_BYTES):
                yield chunk
                received += len(chunk)
                if progress:
                    progress(received, total)
    except HTTPError as error:
        error.close()
        raise _failed(url, target, f"the server answers {error.code} {error.reason}") from error
    except (URLError, OSError, ValueError, http.client.HTTPException) as error:
        raise _failed(url, target, str(getattr(error, "reason", error))) from error
    if total is not None and received != total:
        raise _failed(url, target, f"the connection ended after {received} of {total} bytes")


def _failed(url: str, target: Path, reason: str) -> EdgekitError:
    return EdgekitError(
        "EK105",
        what=f"the weights could not be downloaded: {reason}",
        where=url,
        fix=f"download it elsewhere and copy it to {target}, or name another file with --weights FILE",
    )
