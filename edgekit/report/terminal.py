"""The table that ends an export, and other tables of the command line."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edgekit.artifact import Artifact, Hop, OutputParity
from edgekit.ladder.climb import RECEIPT_COLUMNS, Receipt, receipt_row
from edgekit.printable import printable, shortened
from edgekit.run import Result, Run, compared_on
from edgekit.target import TensorInfo


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, right: Sequence[str] = ()) -> None:
    """A plain table on stdout; `right` names the columns of figures."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    _console().print(table)


def plain(text: str) -> Text:
    """A name or figure as it is: no markup, no control characters."""
    return Text(printable(text))


def shown(text: object) -> str:
    """The same inside a line that has markup."""
    return escape(printable(str(text)))


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
        console.print(f"[dim]{shown(compared_on(run))}[/dim]\n", soft_wrap=True)
    for note in run.source.notes:
        console.print(f"[dim]note: {shown(note)}[/dim]", soft_wrap=True)
    if run.source.assumption:
        console.print(f"[yellow]assumed[/yellow] {shown(run.source.assumption)}", soft_wrap=True)
    for warning in run.images.warnings:
        console.print(f"[yellow]warning[/yellow] {shown(warning)}", soft_wrap=True)
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
        table.add_row(*hop_cells(hop, name, several))
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
        table.add_row(*map(plain, receipt_row(line)))
    console.print(table)
    asked = f"; asked for: {receipt.demand}" if receipt.demand != "none" else ""
    asked += f"; in float32: {shown(', '.join(receipt.keep_float))}" if receipt.keep_float else ""
    console.print(f"[dim]rungs of {receipt.target} on {shown(receipt.images)}{asked}[/dim]", soft_wrap=True)
    for kept in receipt.tried[-1].kept:
        gain, module = f"{100 * kept.gain:.1f} % of the noise", shown(kept.module)
        console.print(f"  float32: {shown(kept.operator)} {module}: {gain} for {kept.lost_us:.0f} us", soft_wrap=True)
    console.print()


HOP_FIGURES = ("max abs", "cosine", "SQNR", "top-1 same")


def hop_columns(several: bool) -> tuple[str, ...]:
    """Heads of the table of hops; with the worst output's name where models have several."""
    return ("hop", *(("worst output",) if several else ()), *HOP_FIGURES, "gate", "")


def hop_cells(hop: Hop, target: str, several: bool) -> tuple[Text, ...]:
    """One hop as cells of a terminal's table."""
    *cells, verdict = hop_text(hop, target, several)
    return (*map(plain, map(shortened, cells)), Text.from_markup(VERDICTS[verdict]))


VERDICTS = {"pass": "[green]pass[/green]", "FAIL": "[red bold]FAIL[/red bold]", "": ""}


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
        return [f"{name}  [red]refused[/red]: {shown(f'{result.refused.code} {result.refused.what}')}"]
    assert result.artifact is not None
    lines = _file_lines(name, result.artifact)
    if result.passed:
        return [*lines, f"  {shown(result.folder)}"]
    return [*lines, f"  [red]no bundle: a gate failed[/red]; numbers in {shown(result.folder)}"]


def _file_lines(name: str, artifact: Artifact) -> list[str]:
    io = f"{described(artifact.emitted.inputs)} in, {described(artifact.emitted.outputs)} out"
    lines = [f"{name}  {size(len(artifact.emitted.data))}, {shown(io)}{_delegated(artifact)}"]
    if artifact.delegation:
        lines += [
            shown(f"  not delegated: {n.operator} {n.module}: {n.reason}; {n.fix}")
            for n in artifact.delegation.undelegated
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
