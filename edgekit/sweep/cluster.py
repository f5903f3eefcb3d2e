"""The cells of a sweep on a Dask cluster.

A cell that measures carries its device as a resource, `device:NAME`, of which a worker has one: a board is measured by
one cell at a time. Files go to the workers by the hash of their content. A worker that dies takes no result with it:
its cells, and the files that only it held, are sent again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from edgekit import __version__
from edgekit.errors import EdgekitError, Table
from edgekit.sweep.cell import Result, run_cell
from edgekit.sweep.inputs import Packed, pack, unpack
from edgekit.sweep.plan import Cell
from edgekit.sweep.run import ATTEMPTS, Heard, died, keep
from edgekit.sweep.store import Store

CONNECT_S = 10
LOCAL = "local"


def run_cluster(cells: list[Cell], address: str, store: Store, heard: Heard) -> None:
    """Compute the cells on the workers of a scheduler.

    Raises:
        EdgekitError: EK701 Dask is not installed; EK705 no scheduler answers, or it was lost; EK706 a worker has
            another edgekit; EK707 no worker has a device.
    """
    with connected(address) as client:
        check_versions(client, address)
        check_resources(client, cells, address)
        packed = pack(cells)
        left, attempts = list(cells), dict.fromkeys(cells, 0)
        while left:
            left = _send(client, left, packed, attempts, store, heard, address)


@contextmanager
def connected(address: str) -> "Iterator[Any]":
    """A client of the scheduler."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise EdgekitError(
            "EK701",
            what="a cluster needs dask.distributed, which is not installed",
            where="--cluster",
            fix="pip install 'edgekit[cluster]'",
        ) from error
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError
        raise _lost(address, f"no scheduler answers at {address}") from error
    with client:
        yield client


def check_versions(client: Any, address: str) -> None:
    """EK706 unless every worker has this edgekit."""
    found: dict[str, str] = client.run(edgekit_version)
    if not found:
        raise _lost(address, "the scheduler has no workers", f"start some: dask worker {address}")
    other = {worker: version for worker, version in found.items() if version != __version__}
    if other:
        raise EdgekitError(
            "EK706",
            what=f"{len(other)} of {len(found)} workers have another edgekit than {__version__}",
            where=next(iter(other)),
            fix=f"install edgekit {__version__} there, and start these workers again",
            table=Table(("worker", "edgekit"), tuple((w, v or "none") for w, v in sorted(other.items()))),
        )


def edgekit_version() -> str:
    """Runs on a worker: its edgekit; empty where it has none."""
    try:
        from edgekit import __version__ as there
    except ImportError:
        return ""
    return there


def check_resources(client: Any, cells: list[Cell], address: str) -> None:
    """EK707 for a device that no worker has: its cells would wait for ever."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    there = {name for worker in workers for name in worker.get("resources", {})}
    missing = sorted({name for cell in cells for name in resources_of(cell)} - there)
    if missing:
        raise EdgekitError(
            "EK707",
            what=f"no worker has {', '.join(missing)}",
            where=address,
            fix=f'start one where the device is: dask worker {address} --resources "{missing[0]}=1"',
        )


def resources_of(cell: Cell) -> dict[str, int]:
    """What a cell holds while it runs: the device that it measures on."""
    return {} if cell.device == LOCAL or cell.metric == "none" else {f"device:{cell.device}": 1}


def compute(cell: Cell, packed: Mapping[str, Packed]) -> Result:
    """Runs on a worker."""
    return run_cell(cell, unpack(packed))


def _send(
    client: Any,
    cells: list[Cell],
    packed: Mapping[str, Packed],
    attempts: dict[Cell, int],
    store: Store,
    heard: Heard,
    address: str,
) -> list[Cell]:
    """Send cells and keep what comes back; those that are to be sent again."""
    as_completed: Any = import_module("distributed").as_completed
    try:
        files = client.scatter(dict(packed), broadcast=True, hash=False) if packed else {}
        futures = {
            client.submit(
                compute,
                cell,
                files,
                key=f"{cell.key}-{attempts[cell]}",
                pure=False,
                retries=ATTEMPTS,
                resources=resources_of(cell) or None,
            ): cell
            for cell in cells
        }
        again = []
        for future in as_completed(futures, loop=client.loop):
            cell = futures[future]
            if future.status == "finished":
                keep(cell, future.result(), store, heard)
                continue
            attempts[cell] += 1
            if attempts[cell] >= ATTEMPTS:
                keep(cell, died(cell), store, heard)
            else:
                again.append(cell)
        if client.status != "running":
            raise _lost(address, "the scheduler was lost")
        return again
    except (OSError, RuntimeError) as error:
        raise _lost(address, f"the scheduler was lost: {error}") from error


def _lost(address: str, what: str, fix: str = "start it: dask scheduler; cells that are done are kept") -> EdgekitError:
    return EdgekitError("EK705", what=what, where=address, fix=fix)
