"""The table that ends an export, and other tables of the command line."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edgekit.artifact import Artifact, Hop, OutputParity
from edgekit.ladder.climb import RECEIPT_COLUMNS, Receipt, receipt_row
from edgekit.run import Result, Run
from edgekit.target import TensorInfo


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, right: Sequence[str] = ()) -> None:
    """A plain table on stdout; `right` names the columns of figures.

    Text comes out as it is: brackets in the user's names are no markup. What has a style is a rich Text.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        add_row(table, row)
    _console().print(table)


def add_row(table: Table, cells: Sequence[str | Text]) -> None:
    """A row whose plain texts are no markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width: do not fold at 80
    return console


def print_summary(run: Run) -> None:
    """One table: what every hop cost in parity, then what each target came to."""
    console = _console()
    if run.artifacts:
        print_hops(console, {name: artifact.parity.hops for name, artifact in run.artifacts.items()})
        console.print(f"[dim]compared on {len(run.images.compared)} {escape(run.images.parity.description)}[/dim]\n")
    for warning in run.images.warnings:
        console.print(f"[yellow]warning[/yellow] {escape(warning)}", soft_wrap=True)
    for integers in run.integers.values():
        if integers.receipt is not None:
            _print_receipt(console, integers.receipt)
    for compared in (i.data_free for i in run.integers.values() if i.data_free is not None):
        for line in compared.receipt.tried:
            rung, top1, _, same, sqnr, *_ = receipt_row(line)
            console.print(f"calibrated on {rung}: top-1 {top1}, {same} top-1 same, SQNR {sqnr}", soft_wrap=True)
    for result in run.results:
        console.print(*_result_lines(result), sep="\n", soft_wrap=True)


def print_hops(console: Console, hops: Mapping[str, Sequence[Hop]]) -> None:
    """A row per hop, with the figures of its worst output; hops that targets share stand there once.

    Args:
        hops: target -> its hops in pipeline order.
    """
    several = any(len(hop.outputs) > 1 for found in hops.values() for hop in found)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in hop_columns(several):
        table.add_column(column, justify="right" if column in HOP_FIGURES else "left")
    for name, hop in told_once(hops):
        add_row(table, hop_cells(hop, name, several))
    console.print(table)


def told_once(hops: Mapping[str, Sequence[Hop]]) -> Iterator[tuple[str, Hop]]:
    """Target and hop, in order, without the hops that an earlier target had already."""
    seen: set[tuple[str, Hop]] = set()
    for name, found in hops.items():
        for hop in found:
            key = (name if hop.name == "end to end" else "", hop)
            if key not in seen:
                seen.add(key)
                yield name, hop


def _print_receipt(console: Console, receipt: Receipt) -> None:
    """The rungs that were tried, and what stays in float32."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in RECEIPT_COLUMNS:
        table.add_column(column, justify="right" if column in RECEIPT_COLUMNS[1:-1] else "left")
    for line in receipt.tried:
        add_row(table, receipt_row(line))
    console.print(table)
    asked = f"; asked for: {receipt.demand}" if receipt.demand != "none" else ""
    asked += f"; in float32: {escape(', '.join(receipt.keep_float))}" if receipt.keep_float else ""
    console.print(f"[dim]rungs of {receipt.target} on {receipt.images}{asked}[/dim]", soft_wrap=True)
    for kept in receipt.tried[-1].kept:
        gain, module = f"{100 * kept.gain:.1f} % of the noise", escape(kept.module)
        console.print(f"  float32: {kept.operator} {module}: {gain} for {kept.lost_us:.0f} us", soft_wrap=True)
    console.print()


HOP_FIGURES = ("max abs", "cosine", "SQNR", "top-1 same")


def hop_columns(several: bool) -> tuple[str, ...]:
    """Heads of the table of hops; with the worst output's name where models have several."""
    return ("hop", *(("worst output",) if several else ()), *HOP_FIGURES, "gate", "")


def hop_cells(hop: Hop, target: str, several: bool) -> tuple[str | Text, ...]:
    """One hop as cells of a terminal's table."""
    *cells, verdict = hop_text(hop, target, several)
    return (*cells, Text(verdict, VERDICTS[verdict]))


VERDICTS = {"pass": "green", "FAIL": "red bold", "": ""}
"""What a hop came to -> its style."""


def hop_text(hop: Hop, target: str, several: bool) -> tuple[str, ...]:
    """One hop as plain text, a cell for each of `hop_columns`; the last one is the verdict."""
    name = f"{hop.reference} -> {hop.name}" if hop.name != "end to end" else f"{hop.reference} -> {target} (end to end)"
    verdict = "pass" if hop.passed else "FAIL"
    worst = hop.worst
    return (
        name,
        *((worst.output,) if several else ()),
        f"{worst.max_abs:.2g}",
        f"{worst.cosine:.6f}",
        sqnr(worst),
        share(hop.agreement),
        worst.gate,
        verdict if worst.gate else "",
    )


def sqnr(output: OutputParity) -> str:
    """An output's SQNR; infinite where it is bit for bit equal."""
    return "equal" if output.sqnr_db == math.inf else f"{output.sqnr_db:.1f} dB"


def share(agreement: float | None) -> str:
    """An agreement in percent; a dash where there are no classes."""
    return "-" if agreement is None else f"{100 * agreement:.1f} %"


def _result_lines(result: Result) -> list[str]:
    """What one target came to."""
    name = f"[bold]{result.target.name}[/bold]"
    if result.refused is not None:
        return [f"{name}  [red]refused[/red]: {escape(f'{result.refused.code} {result.refused.what}')}"]
    assert result.artifact is not None
    first, *others = _file_lines(result.artifact)
    lines, folder = [f"{name}  {escape(first)}", *map(escape, others)], escape(str(result.folder))
    if result.passed:
        return [*lines, f"  {folder}"]
    return [*lines, f"  [red]no bundle: a gate failed[/red]; numbers in {folder}"]


def _file_lines(artifact: Artifact) -> list[str]:
    """Size, inputs and outputs of a file; what its delegate left, and what lies beside it."""
    io = f"{described(artifact.emitted.inputs)} in, {described(artifact.emitted.outputs)} out"
    lines = [f"{size(len(artifact.emitted.data))}, {io}{_delegated(artifact)}"]
    if artifact.delegation:
        lines += [
            f"  not delegated: {n.operator} {n.module}: {n.reason}; {n.fix}" for n in artifact.delegation.undelegated
        ]
    return [*lines, *(f"  {file}  {size(len(data))}" for file, data in artifact.emitted.beside.items())]


def size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 10_000 else f"{size_bytes} bytes"


def described(tensors: Sequence[TensorInfo]) -> str:
    """`int8 1x224x224x3`; several by name, separated by commas."""
    named = len(tensors) > 1
    return ", ".join(
        f"{f'{tensor.name} ' if named else ''}{tensor.dtype} {'x'.join(map(str, tensor.shape))}" for tensor in tensors
    )


def _delegated(artifact: Artifact) -> str:
    delegation = artifact.delegation
    if delegation is None:
        return ""
    if not delegation.partitions:
        return ", not delegated"
    parts, outside = delegation.partitions, len(delegation.undelegated)
    return (
        f", {parts} {delegation.delegate} partition{'' if parts == 1 else 's'},"
        f" {outside} node{'' if outside == 1 else 's'} outside"
    )
