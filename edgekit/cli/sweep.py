"""`edgekit sweep`: run, show, export."""

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from edgekit.cli import app
from edgekit.cli.options import JsonFlag
from edgekit.cli.output import only_json_on_stdout, print_json
from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from edgekit.sweep.cell import Result
    from edgekit.sweep.plan import Cell


class RunByDefault(TyperGroup):
    """`edgekit sweep FILE.toml` is `edgekit sweep run FILE.toml`."""

    default = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


sweep = typer.Typer(
    help="Many exports from one file, and which of them no other one beats: edgekit sweep FILE.toml",
    cls=RunByDefault,
    no_args_is_help=True,
)
app.add_typer(sweep, name="sweep")

Database = Annotated[
    Path | None, typer.Option("--db", metavar="FILE", help="SQLite file of the results  [default: FILE.sqlite]")
]


@sweep.command("run", help="Compute every cell of FILE.toml that has no result yet: edgekit sweep FILE.toml")
def run_command(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="models, methods, ratios, sizes, targets, devices")],
    db: Database = None,
    workers: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="processes at once")] = 1,
    cluster: Annotated[str | None, typer.Option(metavar="ADDRESS", help="a Dask scheduler, tcp://HOST:8786")] = None,
    again: Annotated[bool, typer.Option("--again", help="compute failed cells again")] = False,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="HTML page  [default: FILE.html]")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compute every cell of FILE.toml that has no result yet; a cell that fails is a result too.

    What is there is kept: a run that was killed goes on where it was.
    """
    from edgekit.sweep.plan import read_plan
    from edgekit.sweep.run import run_here, run_workers
    from edgekit.sweep.store import Store

    if cluster is not None and workers > 1:
        fix = "leave one of them out: a cluster has workers of its own"
        raise EdgekitError("EK106", what="--workers and --cluster exclude each other", where="--workers", fix=fix)
    cells = list(read_plan(file))
    store = Store(db or file.with_suffix(".sqlite"))
    store.add(cells)
    left = store.left(cells, again=again)
    typer.echo(f"{len(cells)} cells, {len(left)} to do", err=True)
    with only_json_on_stdout(as_json):
        if cluster is not None:
            from edgekit.sweep.cluster import run_cluster

            run_cluster(left, cluster, store, show_cell)
        elif workers > 1:
            run_workers(left, workers, store, show_cell)
        else:
            run_here(left, store, show_cell)
    keys = {cell.key for cell in cells}
    documents = [row.document() for row in store.rows() if row.cell.key in keys]
    tell(documents, page or file.with_suffix(".html"), file.stem, as_json)


@sweep.command("show")
def show_command(
    db: Annotated[Path, typer.Argument(metavar="FILE.sqlite", help="results of a sweep")],
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="write the HTML page too")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show results as a table, the front marked."""
    tell(stored(db), page, db.stem, as_json)


@sweep.command("export")
def export_command(
    db: Annotated[Path, typer.Argument(metavar="FILE.sqlite", help="results of a sweep")],
    as_csv: Annotated[bool, typer.Option("--csv", help="comma-separated values, on stdout")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="a Parquet file (needs pyarrow)")] = None,
) -> None:
    """Give results to another program, a row a cell."""
    if as_csv == (parquet is not None):
        raise EdgekitError(
            "EK106", what="no form is chosen, or two", where="sweep export", fix="--csv or --parquet FILE"
        )
    documents = stored(db)
    columns = list(dict.fromkeys(name for document in documents for name in document))
    if parquet is not None:
        write_parquet(parquet, documents, columns)
        return
    writer = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(documents)


def stored(db: Path) -> list[dict[str, Any]]:
    from edgekit.sweep.store import open_store

    return [row.document() for row in open_store(db).rows()]


def write_parquet(path: Path, documents: list[dict[str, Any]], columns: list[str]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        fix = "pip install pyarrow, or take --csv"
        raise EdgekitError(
            "EK701", what="Parquet needs pyarrow, which is not installed", where="--parquet", fix=fix
        ) from error
    table = pyarrow.table({name: [document.get(name) for document in documents] for name in columns})
    parquet.write_table(table, path)


def tell(documents: list[dict[str, Any]], page: Path | None, title: str, as_json: bool) -> None:
    from edgekit.report.terminal import print_table
    from edgekit.sweep.front import front
    from edgekit.sweep.page import COLUMNS, done, html, rows

    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(html(title, documents), encoding="utf-8")
    if as_json:
        good = done(documents)
        best = [d["key"] for d, is_best in zip(good, front(good), strict=True) if is_best]
        print_json({"cells": documents, "front": best})
        return
    print_table(COLUMNS, rows(documents), right=("ratio", "quality", "cost", "file"))
    failed = sum(document["status"] not in ("ok", "") for document in documents)
    print(f"{len(documents)} cells, {failed} without a file" + (f"; page: {page}" if page else ""))


def show_cell(cell: "Cell", result: "Result") -> None:
    """One line per cell on stderr."""
    why = "" if result.status == "ok" else f"  {result.error.get('code', '')} {result.error.get('what', '')}"
    typer.echo(f"{result.status:<6} {cell.label}  {result.costs.get('cpu_s', 0):.1f} CPU s{why}", err=True)
