"""What a sweep's TOML file says: every combination is a cell, and a cell is a recipe with a device."""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from edgekit.errors import EdgekitError
from edgekit.files import read_regular
from edgekit.options import Option, Unfit, Values, fill, refusal
from edgekit.recipe import Compression, make_recipe, one_or_more, parse_size

LARGEST = 1 << 22  # bytes
NOTHING = "none"
"""The method that leaves a model as it is."""

SHARES = {"prune": "prune", "low-rank": "budget"}
"""Method -> the field of a compression that a ratio fills; what goes, and what may stay of the MACs."""


def listed(given: object) -> Sequence[object]:
    """One value is a list of one."""
    return given if isinstance(given, list | tuple) else (given,)


def parse_sizes(given: object) -> object:
    """`64` or `"64x48"`, one or several -> texts."""
    found = []
    for each in listed(given):
        size = parse_size(each)
        found.append("x".join(map(str, size)) if isinstance(size, tuple) else each)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep.

    Args:
        models: as `export` takes them.
        methods: "none", "prune", "low-rank", or a name of the table [method].
        ratios: share of the filters that go, or 1 - the share of the MACs that stays; no matter for "none".
        sizes: pixels, "64" or "64x48"; empty: what the weights were made for.
        method: name -> a recipe's table [compress] of its own.
        metric: what is measured on the devices; "none" exports only.
        weights: of models that are not in the table of that name; a table is model -> weights.
        eval: labelled images for accuracy; without them files are compared with the whole model.
    """

    models: Annotated[tuple[str, ...], Values(read=one_or_more)]
    targets: Annotated[tuple[str, ...], Values(read=one_or_more)]
    methods: Annotated[tuple[str, ...], Values(read=one_or_more)] = (NOTHING,)
    ratios: Annotated[tuple[float, ...], Values(read=listed)] = (0.3,)
    sizes: Annotated[tuple[str, ...], Values(read=parse_sizes)] = ()
    devices: Annotated[tuple[str, ...], Values(read=one_or_more)] = ("local",)
    method: dict[str, dict[str, Any]] = field(default_factory=dict)
    metric: Literal["none", "latency", "instructions", "cycles"] = "none"
    weights: dict[str, str] | str = "random"
    calibration: str | None = None
    samples: Annotated[int, Option("images"), Values(low=1)] = 100
    eval: str | None = None
    eval_limit: Annotated[int | None, Values(low=1)] = None
    seed: int = 0

    def __iter__(self) -> "Iterator[Cell]":
        """Cells in the order of the file's lists; one is there once."""
        return iter(dict.fromkeys(self._cells()))

    def _cells(self) -> "Iterator[Cell]":
        for model, method, ratio, size, target, device in product(
            self.models, self.methods, self.ratios, self.sizes or (None,), self.targets, self.devices
        ):
            ratio_of = None if method == NOTHING or self._fixed(method) else ratio
            recipe = self._recipe(model, method, ratio_of, size, target)
            yield Cell(
                json.dumps(recipe, sort_keys=True), method, ratio_of, device, self.metric, self.eval, self.eval_limit
            )

    def _fixed(self, method: str) -> bool:
        """Whether a method of one's own says how much already."""
        return method in self.method and any(key in self.method[method] for key in ("prune", "low_rank", "budget"))

    def _recipe(self, model: str, method: str, ratio: float | None, size: str | None, target: str) -> dict[str, Any]:
        weights = self.weights if isinstance(self.weights, str) else self.weights.get(model, "random")
        given = {
            "model": model,
            "targets": [target],
            "weights": None if model.endswith((".onnx", ".pt2")) or Path(model).is_dir() else weights,
            "input_size": size,
            "calibration": self.calibration,
            "samples": self.samples,
            "seed": self.seed,
            "compress": self._compression(method, ratio),
        }
        return {key: value for key, value in given.items() if value is not None}

    def _compression(self, method: str, ratio: float | None) -> dict[str, Any] | None:
        if method == NOTHING:
            return None
        own = dict(self.method.get(method, {}))
        if ratio is None:
            return own
        kind = own.pop("kind", method)
        return {**own, SHARES[kind]: ratio if kind == "prune" else round(1 - ratio, 6)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One export.

    Args:
        recipe: as JSON, keys sorted.
        ratio: None where the method has none.
    """

    recipe: str
    method: str
    ratio: float | None
    device: str
    metric: str
    eval: str | None = None
    eval_limit: int | None = None

    @property
    def key(self) -> str:
        """SHA-256 of all that decides the result."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @property
    def choices(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.recipe)
        return found

    @property
    def label(self) -> str:
        """`mobilenet_v2 prune 0.3 96x96 tflite-int8 local`."""
        choices = self.choices
        ratio = None if self.ratio is None else f"{self.ratio:g}"
        parts = (choices["model"], self.method, ratio, choices.get("input_size"), choices["targets"][0], self.device)
        return " ".join(part for part in parts if part)


def read_plan(path: Path) -> Plan:
    """The plan of a TOML file; files that it names may lie beside it.

    Raises:
        EdgekitError: EK102 unreadable; EK106 naming every key that there is not or that cannot be used.
    """
    try:
        keys = tomllib.loads(read_regular(path, LARGEST, "the sweep").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EdgekitError("EK106", what=f"not valid TOML: {error}", where=str(path), fix="correct the line") from error
    try:
        plan = Plan(**fill(Plan, keys))
    except Unfit as unfit:
        raise refusal(unfit.problems, "docs/compression.md") from None
    check(plan, path)
    return plan


def check(plan: Plan, path: Path) -> None:
    """EK106 for a method that is not known, and for what no recipe takes; every cell's recipe is read once."""
    known = {NOTHING, *SHARES, *plan.method}
    unknown = [method for method in plan.methods if method not in known]
    if unknown:
        raise EdgekitError(
            "EK106",
            what=f"there is no method {unknown[0]!r}",
            where=f"{path}: methods",
            fix=f"known are: {', '.join(sorted(known))}; a table [method.NAME] adds one",
        )
    wrong = [name for name, table in plan.method.items() if table.get("kind", "prune") not in SHARES]
    if wrong:
        raise EdgekitError(
            "EK106", what=f"[method.{wrong[0]}] has no usable kind", where=str(path), fix='kind = "prune" or "low-rank"'
        )
    for name, table in plan.method.items():
        extra = set(table) - {"kind"} - {each.name for each in fields(Compression)}
        if extra:
            raise EdgekitError(
                "EK106",
                what=f"[method.{name}] has no {sorted(extra)[0]!r}",
                where=str(path),
                fix=f"known are: kind, {', '.join(each.name for each in fields(Compression))}",
            )
    if not all((plan.models, plan.methods, plan.ratios, plan.targets, plan.devices)):
        raise EdgekitError(
            "EK106", what="a list is empty: there is nothing to do", where=str(path), fix="name one each"
        )
    for cell in plan:
        make_recipe(**cell.choices)


def mapped(cell: Cell, places: Mapping[str, str]) -> dict[str, Any]:
    """A cell's recipe with its files at other places: on a worker."""
    return {key: places.get(value, value) if isinstance(value, str) else value for key, value in cell.choices.items()}
