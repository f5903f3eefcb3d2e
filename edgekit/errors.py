"""Every error a user can meet, with its code.

    EdgekitError
      1xx  names, weights, recipe, input files        exit code 2
      2xx  trace and graph                            exit code 2
      3xx  lowering to a target                       exit code 2
      4xx  calibration and quantization               exit code 2
      5xx  parity and accuracy gates                  exit code 1
      6xx  devices                                    exit code 3
      7xx  environment (runtimes, disk, packages)     exit code 3

What, where and fix are constructor arguments, so none can be forgotten. `where` uses the user's own words: a module
path, a recipe key, a file name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

EXIT_CODES = {1: 2, 2: 2, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3}

# Code -> what it means, for `edgekit explain` and docs/errors.md. An undocumented code cannot be raised.
CATALOGUE: dict[str, str] = {
    "EK101": "The name of a model, target or device is not known. Near misses are suggested, never corrected silently.",
    "EK102": "A file or folder that was named does not exist, or cannot be read.",
    "EK103": "The weights do not fit the model: tensors are missing, unexpected or of another shape.",
    "EK104": "The model has no weights by default, so the weights must be named: a model is never silently untrained.",
    "EK105": "A download failed: no network, or the file's hash is not the published one.",
    "EK106": "A recipe or an option holds a value that cannot be used.",
    "EK107": "A Python file, library or module in memory that should provide the model could not be used.",
    "EK108": "An images folder holds no usable image, or a corrupt one.",
    "EK109": "The labels do not fit the images or the model.",
    "EK110": "A bundle, or a compressed model, is incomplete or was changed after it was written.",
    "EK201": "The model could not be traced: torch.export refused it.",
    "EK202": "An ONNX file is truncated or invalid.",
    "EK203": "The model's input shape is dynamic, of another rank, or of a size that the model cannot take.",
    "EK204": "The graph is already quantized where a float graph is needed, or holds a form that no pass understands.",
    "EK301": "Some nodes of the graph have no lowering to the target's format. All of them are listed.",
    "EK302": "The target cannot be combined with an option that was given.",
    "EK303": "The file would be larger than its format can hold.",
    "EK401": "Calibration could not run: no images, nothing to quantize, or a value that is NaN or infinite.",
    "EK402": "Distilled calibration needs BatchNorm statistics and a PyTorch module; this model has none.",
    "EK501": "A hop of the pipeline changed the outputs by more than the target's gate allows.",
    "EK502": "A bundle no longer gives its golden outputs.",
    "EK503": "A device gives other outputs than the host, by more than the gate allows.",
    "EK504": "A file is slower than its baseline, by more than --max-regression allows.",
    "EK505": "No rung of quantization gives the accuracy that was asked for. All that were tried are listed.",
    "EK506": "A training diverged: its loss is NaN or infinite. The batch and the last checkpoint are kept.",
    "EK601": "A device cannot be reached: it is not there, switched off, or refuses the login.",
    "EK602": "The connection to a device was lost in the middle of something. Results from before are kept.",
    "EK603": "A program on a device did not end in time and was killed.",
    "EK604": "Another edgekit process is using the device.",
    "EK605": "A device's storage is full.",
    "EK606": "A device cannot run the program: another CPU architecture, or a library is missing.",
    "EK607": "A device ran out of memory.",
    "EK608": "What came back from a device cannot be right: too large, not JSON, or another hash.",
    "EK609": "A tool or file that this host needs for a device is missing.",
    "EK610": "The runner on a device failed, or the runtime there refused the model file.",
    "EK611": "Instructions cannot be counted, or cycles not estimated: another emulator, or counts that do not repeat.",
    "EK612": "A latency is too noisy to be judged, or has no baseline, and --strict asks for an answer.",
    "EK701": "A package that this command needs is not installed.",
    "EK702": "The output cannot be written.",
    "EK703": "A runtime refused to load or run the file.",
    "EK704": "This host has not enough memory.",
    "EK705": "A cluster's scheduler does not answer, has no workers, or was lost. Cells that are done are kept.",
    "EK706": "A worker of a cluster has another version of edgekit: its results would not be the same.",
    "EK707": "No worker of a cluster has a device that a cell measures on.",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that belong to an error, for example one per rejected node."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def lines(self) -> list[str]:
        """In aligned columns. Nothing is wrapped or cut: a module path must stay copyable."""
        rows = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.columns))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


class EdgekitError(Exception):
    """A failure that the user can act on.

    Args:
        code: `EKnnn`, a key of CATALOGUE.
        what: what happened, one line.
        where: the module path, recipe key, file or device it happened at, in the user's words.
        fix: what to do about it.
        table: details, one row each.
    """

    def __init__(self, code: str, *, what: str, where: str, fix: str, table: Table | None = None) -> None:
        if code not in CATALOGUE:
            raise KeyError(f"error code {code} is not in the catalogue")
        super().__init__(f"{code} {what} [{where}] fix: {fix}")
        self.code, self.what, self.where, self.fix, self.table = code, what, where, fix, table
        if table is not None:
            self.add_note("\n".join(f"  {line}" for line in table.lines()))  # a traceback and a notebook show it

    def __reduce__(self) -> tuple[Callable[[], "EdgekitError"], tuple[()]]:
        """Exceptions are pickled by their positional arguments; these are keywords."""
        make = partial(EdgekitError, self.code, what=self.what, where=self.where, fix=self.fix, table=self.table)
        return make, ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[int(self.code[2])]


def error_document(error: EdgekitError) -> dict[str, Any]:
    """An error as JSON, with the exit code that the process ends with."""
    rows = [dict(zip(error.table.columns, row, strict=True)) for row in error.table.rows] if error.table else []
    return {
        "code": error.code,
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "rows": rows,
        "exit_code": error.exit_code,
    }


def did_you_mean(name: str, known: Sequence[str], otherwise: str) -> str:
    """The fix for an unknown name: those that begin like it, and near misses, where there are some."""
    folded = {each.lower(): each for each in known}
    begun = [each for each in folded if name and each.startswith(name.lower())]
    close = get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    near = [folded[each] for each in dict.fromkeys([*begun, *close])][:3]
    return f"did you mean {' or '.join(near)}?" if near else otherwise
