"""The table that ends an export, and other tables of the command line."""

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgekit.artifact import Artifact, Hop
from edgekit.ladder.climb import RECEIPT_COLUMNS, Receipt, receipt_row
from edgekit.run import Run
from edgekit.target import TensorInfo


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A plain table on stdout; `right` names the columns of figures."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width: do not fold at 80
    return console


def print_summary(run: Run) -> None:
    """One table: what every hop cost in parity, then each target's file."""
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("hop", "max abs", "cosine", "SQNR", "top-1 same", "gate", ""):
        table.add_column(column, justify="left" if column in ("hop", "gate", "") else "right")
    seen: set[Hop] = set()
    for name, artifact in run.artifacts.items():
        table.add_section()
        for hop in artifact.parity.hops:
            if hop not in seen:  # hops before quantization are the same for every target
                seen.add(hop)
                table.add_row(*hop_cells(hop, name))
    console.print(table)
    parity = next(iter(run.artifacts.values())).parity
    console.print(f"[dim]compared on {parity.images} {parity.inputs}[/dim]\n")
    for warning in run.warnings:
        console.print(f"[yellow]warning[/yellow] {escape(warning)}", soft_wrap=True)
    for receipt in run.receipts.values():
        _print_receipt(console, receipt)
    for compared in run.data_free.values():
        for line in compared.receipt.tried:
            rung, top1, _, same, sqnr, *_ = receipt_row(line)
            console.print(f"calibrated on {rung}: top-1 {top1}, {same} top-1 same, SQNR {sqnr}", soft_wrap=True)
    for name, artifact in run.artifacts.items():
        console.print(*_file_lines(run, name, artifact), sep="\n", soft_wrap=True)


def _print_receipt(console: Console, receipt: Receipt) -> None:
    """The rungs that were tried, and what stays in float32."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in RECEIPT_COLUMNS:
        table.add_column(column, justify="right" if column in RECEIPT_COLUMNS[1:-1] else "left")
    for line in receipt.tried:
        table.add_row(*receipt_row(line))
    console.print(table)
    asked = f"; asked for: {receipt.demand}" if receipt.demand != "none" else ""
    console.print(f"[dim]rungs of {receipt.target} on {receipt.images}{asked}[/dim]", soft_wrap=True)
    for kept in receipt.tried[-1].kept:
        gain, module = f"{100 * kept.gain:.1f} % of the noise", escape(kept.module)
        console.print(f"  float32: {kept.operator} {module}: {gain} for {kept.lost_us:.0f} us", soft_wrap=True)
    console.print()


def hop_cells(hop: Hop, target: str) -> tuple[str, ...]:
    """One hop as text cells; the last one is the verdict."""
    name = f"{hop.reference} -> {hop.name}" if hop.name != "end to end" else f"{hop.reference} -> {target} (end to end)"
    verdict = "[green]pass[/green]" if hop.passed else "[red bold]FAIL[/red bold]"
    return (
        name,
        f"{hop.max_abs:.2g}",
        f"{hop.cosine:.6f}",
        "equal" if hop.sqnr_db == math.inf else f"{hop.sqnr_db:.1f} dB",
        f"{100 * hop.agreement:.1f} %",
        hop.gate,
        verdict if hop.gate else "",
    )


def _file_lines(run: Run, name: str, artifact: Artifact) -> list[str]:
    size = _size(len(artifact.emitted.data))
    io = f"{described(artifact.emitted.inputs)} in, {described(artifact.emitted.outputs)} out"
    lines = [f"[bold]{name}[/bold]  {size}, {io}{_delegated(artifact)}"]
    if artifact.delegation:
        lines += [
            f"  not delegated: {n.operator} {n.module}: {n.reason}; {n.fix}" for n in artifact.delegation.undelegated
        ]
    lines += [f"  {file}  {_size(len(data))}" for file, data in artifact.emitted.beside.items()]
    if name in run.bundles:
        lines.append(f"  {run.bundles[name]}")
    else:
        lines.append(f"  [red]no bundle: a gate failed[/red]; numbers in {run.failures[name]}")
    return lines


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 10_000 else f"{size_bytes} bytes"


def described(tensors: Sequence[TensorInfo]) -> str:
    """`int8 1x224x224x3`, several separated by commas."""
    return ", ".join(f"{tensor.dtype} {'x'.join(map(str, tensor.shape))}" for tensor in tensors)


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
