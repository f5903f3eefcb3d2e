"""The cells of a sweep and their results in one SQLite file: a row each, written when it is done.

Write-ahead logging: whoever reads never waits, and a process that is killed loses the cell that it was at.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.sweep.cell import Result
from edgekit.sweep.plan import Cell

FORMAT = 1
TABLE = """
create table if not exists cells (
    key text primary key, place integer not null, label text not null, cell text not null,
    status text, record text, measured text, error text, costs text, edgekit text
) strict
"""
BUSY_S = 30
"""How long another process's write is waited for."""


@dataclass(frozen=True, slots=True)
class Row:
    """A cell with its result; None where it was not computed yet."""

    cell: Cell
    result: Result | None = None

    def document(self) -> dict[str, Any]:
        """JSON-ready, flat: a column each."""
        choices = self.cell.choices
        found = {
            "key": self.cell.key,
            "model": choices["model"],
            "method": self.cell.method,
            "ratio": self.cell.ratio,
            "input_size": choices.get("input_size"),
            "target": choices["targets"][0],
            "device": self.cell.device,
            "status": self.result.status if self.result else "",
        }
        if self.result:
            found |= {**self.result.record, **self.result.measured, **self.result.costs}
            found["error"] = " ".join(filter(None, (self.result.error.get("code"), self.result.error.get("what"))))
        return found


class Store:
    """A file of cells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.execute("pragma journal_mode = wal")
                if database.execute("pragma user_version").fetchone()[0] not in (0, FORMAT):
                    raise _foreign(path)
                database.execute(f"pragma user_version = {FORMAT}")
                database.execute(TABLE)

    def add(self, cells: Iterable[Cell]) -> None:
        """Enter cells that are not there; those that are keep their results."""
        rows = [(c.key, place, c.label, json.dumps(asdict(c), sort_keys=True)) for place, c in enumerate(cells)]
        statement = (
            "insert into cells (key, place, label, cell) values (?, ?, ?, ?) "
            "on conflict (key) do update set place = excluded.place"
        )
        with self._told(), self._open() as database:
            database.executemany(statement, rows)

    def put(self, result: Result) -> None:
        """Keep a result."""
        names = ("record", "measured", "error", "costs")
        values = [json.dumps(getattr(result, name), sort_keys=True) for name in names]
        statement = (
            "update cells set status = ?, record = ?, measured = ?, error = ?, costs = ?, edgekit = ? where key = ?"
        )
        with self._told(), self._open() as database:
            database.execute(statement, (result.status, *values, result.edgekit, result.key))

    def rows(self) -> list[Row]:
        """All cells in the order of the plan."""
        with self._told(), self._open() as database:
            found = database.execute(
                "select cell, key, status, record, measured, error, costs, edgekit from cells order by place, key"
            ).fetchall()
        return [_row(*row) for row in found]

    def left(self, cells: Iterable[Cell], *, again: bool = False) -> list[Cell]:
        """Those of the cells without a result; with `again` those that failed too."""
        done = {r.cell.key for r in self.rows() if r.result and not (again and r.result.status != "ok")}
        return [cell for cell in cells if cell.key not in done]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=BUSY_S)
        try:
            with database:
                yield database
        finally:
            database.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors in the user's words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            fix = "free some space, or name a file that can be written with --db FILE"
            raise EdgekitError("EK702", what=f"cannot write results: {error}", where=str(self.path), fix=fix) from error
        except sqlite3.DatabaseError as error:
            raise _foreign(self.path) from error


def _row(cell: str, key: str, status: str | None, *texts: str | None) -> Row:
    made = Cell(**json.loads(cell))
    if status is None:
        return Row(made)
    record, measured, error, costs, version = texts
    found, times, why, spent = (json.loads(text or "{}") for text in (record, measured, error, costs))
    return Row(made, Result(key, status, found, times, why, spent, str(version)))


def _foreign(path: Path) -> EdgekitError:
    return EdgekitError(
        "EK102",
        what="the file holds no results of edgekit sweep, or those of another version",
        where=str(path),
        fix="name another file with --db FILE",
    )


def open_store(path: Path) -> Store:
    """A store that is there; EK102 where it is not."""
    if not path.is_file():
        fix = "run the sweep first: edgekit sweep run FILE.toml"
        raise EdgekitError("EK102", what="there are no results", where=str(path), fix=fix)
    return Store(path)
