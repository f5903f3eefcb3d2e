"""Everything of a sweep that is left to do, in this process or in several."""

import multiprocessing
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from edgekit.sweep.cell import Result, run_cell
from edgekit.sweep.plan import Cell
from edgekit.sweep.store import Store

Heard = Callable[[Cell, Result], None]
ATTEMPTS = 3
"""Times that a cell is tried whose worker died: the third time it is the cell."""


def run_here(cells: Iterable[Cell], store: Store, heard: Heard) -> None:
    """One after the other."""
    for cell in cells:
        keep(cell, run_cell(cell), store, heard)


def keep(cell: Cell, result: Result, store: Store, heard: Heard) -> None:
    store.put(result)
    heard(cell, result)


def run_workers(cells: list[Cell], workers: int, store: Store, heard: Heard) -> None:
    """In processes of their own; one that dies takes no result with it, and its cells are tried again."""
    attempts = dict.fromkeys(cells, 0)
    left = list(cells)
    while left:
        done = _run_pool(left, workers, store, heard)
        left = [cell for cell in left if cell not in done]
        if left and not done:  # nobody came through: it is one of those that were at work, find out which
            lost = left[:workers]
            for cell in lost:
                attempts[cell] += 1
                if attempts[cell] >= ATTEMPTS:
                    keep(cell, died(cell), store, heard)
                    left.remove(cell)


def _run_pool(cells: list[Cell], workers: int, store: Store, heard: Heard) -> set[Cell]:
    """The cells that came to a result before a worker died, or all of them."""
    done: set[Cell] = set()
    spawn = multiprocessing.get_context("spawn")  # a fork would carry the threads' locks of the runtimes with it
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        futures: dict[Future[Result], Cell] = {pool.submit(run_cell, cell): cell for cell in cells}
        waiting = set(futures)
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    keep(futures[future], future.result(), store, heard)
                    done.add(futures[future])
        except BrokenProcessPool:
            print("a worker died; its cell is tried again", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def died(cell: Cell) -> Result:
    """The result of a cell that its worker did not survive."""
    what = f"the worker died {ATTEMPTS} times in this cell; it may need more memory than there is"
    return Result(
        cell.key, "failed", error={"code": "EK704", "what": what, "where": cell.label, "fix": "a smaller size"}
    )
