"""The folder of a run: what is in it, and how it is written so that no instant leaves half of anything.

recipe.toml          every choice, those that the run made by itself included: edgekit train --recipe repeats it
checkpoint.pt        the state after the last epoch
metrics.csv          a line an epoch
report.html          the curves
weights.safetensors  the averaged weights, once the run is done; with them
labels.txt           class names by index
calibration.npz      training pictures as the net is fed them, u8[n, H, W, C], for int8
card.md              data, choices, accuracy, hash
export.toml          what `edgekit export FOLDER` reads
"""

import contextlib
import csv
import io
import json
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.files import read_regular
from edgekit.options import keys_of
from edgekit.recipe import LARGEST_RECIPE, OwnPreprocess
from edgekit.registry import Preprocess
from edgekit.source.run_folder import CALIBRATION, EXPORT, LABELS, WEIGHTS
from edgekit.train.checkpoint import FILE
from edgekit.train.config import TrainConfig, unusable

RECIPE, METRICS, REPORT, CARD = "recipe.toml", "metrics.csv", "report.html", "card.md"
FINISHED = (WEIGHTS, LABELS, CALIBRATION, CARD, EXPORT)
UNSAVED = ("resume", "out")
COLUMNS = ("epoch", "loss", "figure", "rate", "size", "images_per_s", "seconds", "computing")


def check_free(folder: Path) -> None:
    """EK106 where another run is in the folder already."""
    there = [name for name in (FILE, EXPORT) if (folder / name).exists()]
    if there:
        raise unusable(
            f"there is a run already ({there[0]})", str(folder), "go on with it by --resume, or give another --out"
        )


def write_recipe(folder: Path, config: TrainConfig) -> None:
    """Every choice as TOML that `read_run` and `edgekit train --recipe` take; paths are absolute."""
    values = {key: _plain(value) for key, value in _choices(config).items() if value is not None and value != {}}
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = toml({key: value for key, value in values.items() if key not in tables})
    for name, table in tables.items():
        lines += ["", f"[{name}]", *toml({key: value for key, value in table.items() if value is not None})]
    write_files(folder, {RECIPE: ("\n".join(lines) + "\n").encode()})


def read_run(folder: Path) -> dict[str, Any]:
    """The choices of the run in a folder, for it to go on there.

    Raises:
        EdgekitError: EK102 there is no run; EK106 its recipe is no TOML.
    """
    return {**read_choices(folder / RECIPE), "out": str(folder)}


def read_choices(path: Path) -> dict[str, Any]:
    """The choices of a recipe.toml."""
    try:
        return tomllib.loads(read_regular(path, LARGEST_RECIPE, "the recipe").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unusable(f"not valid TOML: {error}", str(path), "correct the line") from error


def comparable(config: TrainConfig) -> dict[str, str]:
    """The choices that must be equal for a run to go on, as text; where things lie, or are computed, may differ."""
    free = {*UNSAVED, "data", "eval", "device", "memory_gb", "labels"}
    return {key: str(_plain(value)) for key, value in _choices(config).items() if key not in free}


def _choices(config: TrainConfig) -> dict[str, Any]:
    return {key.name: getattr(config, key.name) for key in fields(config) if key.name not in UNSAVED}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, OwnPreprocess | Preprocess):
        return {key: _plain(each) for key, each in asdict(value).items() if each is not None}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def export_recipe(model: str, model_args: Mapping[str, Any], classes: int, feed: Preprocess) -> bytes:
    """TOML for `edgekit export`: weights do not say what they must be fed."""
    values = {"model": model, "weights": WEIGHTS, "labels": LABELS, "num_classes": classes}
    chosen = {key.name: getattr(feed, key.name) for key in keys_of(OwnPreprocess).values() if key.name != "labels"}
    lines = [*toml(values), *(["", "[model_args]", *toml(model_args)] if model_args else [])]
    return ("\n".join([*lines, "", "[preprocess]", *toml(chosen)]) + "\n").encode()


def toml(values: Mapping[str, Any]) -> list[str]:
    """Texts, numbers, truth values and lists of them, which TOML writes as JSON does."""
    return [
        f"{json.dumps(key)} = {_json(value)}" if not key.isidentifier() else f"{key} = {_json(value)}"
        for key, value in values.items()
    ]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_metrics(folder: Path, rows: Iterable[Mapping[str, Any]], figure: str) -> None:
    """A line an epoch; the whole file each time, so that a resumed run has each epoch once."""
    text = io.StringIO()
    names = [figure if name == "figure" else name for name in COLUMNS]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row[name] if row[name] is not None else "" for name in COLUMNS] for row in rows)
    write_files(folder, {METRICS: text.getvalue().encode()})


def write_files(folder: Path, contents: Mapping[str, bytes], order: Sequence[str] = ()) -> None:
    """Write all files beside their places before any of them is renamed into it.

    Raises:
        EdgekitError: EK702 one cannot be written; then all are as they were.
    """
    parts = {folder / name: folder / f"{name}.part" for name in order or contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, part in parts.items():
            part.write_bytes(contents[path.name])
        for path, part in parts.items():
            os.replace(part, path)
    except OSError as error:
        raise EdgekitError(
            "EK702",
            what=f"cannot write: {error.strerror}",
            where=str(error.filename or folder),
            fix=f"free some space, and go on: edgekit train {folder} --resume",
        ) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):  # renamed, never written, or a folder that was in the way
                part.unlink()
