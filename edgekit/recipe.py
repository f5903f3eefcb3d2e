"""The recipe: every choice of an export, from the command line, a TOML file or Python."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from edgekit.costs import Tune
from edgekit.errors import EdgekitError
from edgekit.files import read_regular
from edgekit.options import Option, Problem, Unfit, Values, fill, refusal
from edgekit.registry import Preprocess

Size = tuple[int, int]
Quality = Literal["fast", "balanced", "best"]
Criterion = Literal["min-max", "percentile", "mse", "entropy", "relative"]
Rounding = Literal["nearest", "adaptive"]
CompressionCriterion = Literal["l1", "l2", "geometric-median", "batch-norm", "taylor"]
Bias = Literal["none", "analytic", "empirical"]

MOST_SEED = 2**63 - 1
EITHER = ("method", "quality")
"""Two ways to say how integers are made."""


def parse_size(text: object) -> object:
    """`224x160` -> (224, 160) as (height, width); `224` is square."""
    if isinstance(text, int) and not isinstance(text, bool):
        return (text, text)
    if not isinstance(text, str):
        return text
    height, cross, width = text.lower().partition("x")
    if not height.isdecimal() or (cross and not width.isdecimal()):
        raise ValueError(f"{text!r} is not a size; write it as 224 or 224x224 (height x width, pixels)")
    return (int(height), int(width or height))


def check_size(size: Size) -> None:
    if min(size) < 1:
        raise ValueError(f"{'x'.join(map(str, size))} is not a size; height and width are 1 pixel or more")


def path_as_text(given: object) -> object:
    """Names and files share an option; Python callers may give a Path."""
    return str(given) if isinstance(given, Path) else given


def one_or_more(given: object) -> object:
    """A single text is a list of one."""
    return (given,) if isinstance(given, str) else given


def check_targets(targets: tuple[str, ...]) -> None:
    if not targets:
        raise ValueError("name at least one; see: edgekit targets")


def parse_numbers(text: object) -> object:
    """`0.485,0.456,0.406` or `0.485 0.456 0.406` -> a tuple of numbers."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return (text,)
    if not isinstance(text, str):
        return text
    try:
        return tuple(float(number) for number in text.replace(",", " ").split())
    except ValueError:
        return text


@dataclass(frozen=True, slots=True)
class OwnPreprocess:
    """A recipe's table [preprocess]: what to say otherwise than the weights do, field by field.

    A field that is None is the weights' own. The label set is not: of a table that names none, the names would be a
    guess.
    """

    resize: Annotated[int | None, Option("shorter side of the image, before the crop", "PIXELS")] = None
    crop: Annotated[Size | None, Option("pixels cut from the centre", "HxW"), Values(read=parse_size)] = None
    interpolation: Annotated[
        Literal["bilinear", "bicubic"] | None, Option("bilinear or bicubic: how images are resized", "I")
    ] = None
    mean: Annotated[
        tuple[float, ...] | None,
        Option("subtracted from pixels in 0..1, one per channel: 0.485,0.456,0.406", "M,M,M"),
        Values(read=parse_numbers),
    ] = None
    std: Annotated[
        tuple[float, ...] | None, Option("divided by, one per channel", "S,S,S"), Values(read=parse_numbers)
    ] = None
    channel_order: Annotated[
        Literal["RGB", "BGR"] | None, Option("the model takes BGR", names=("--bgr",), flag="BGR")
    ] = None
    labels: str | None = None

    def over(self, default: Preprocess) -> Preprocess:
        """`default` with what this says; another crop keeps the margin around it where no resize is said."""
        base = default if self.crop is None else default.at(*self.crop)
        given = {key.name: value for key in fields(self) if (value := getattr(self, key.name)) is not None}
        return replace(base, **{"labels": None, **given})


def check_preprocess(preprocess: Preprocess | OwnPreprocess) -> None:
    full = preprocess if isinstance(preprocess, Preprocess) else _supposed(preprocess)
    if len(full.mean) != len(full.std) or not full.mean:
        raise ValueError(f"{len(full.mean)} means and {len(full.std)} deviations; give one per channel")
    if min(full.std) <= 0:
        raise ValueError("a deviation (std) must be above 0")
    if min(full.resize, *full.crop) < 1:
        raise ValueError("resize and crop must be 1 pixel or more")


def check_ratios(layers: Mapping[str, float]) -> None:
    wrong = [name for name, ratio in layers.items() if not 0 <= ratio < 1]
    if wrong:
        raise ValueError(f"the ratio of {wrong[0]} is {layers[wrong[0]]:g}; it is from 0 to below 1")


def check_ranks(ranks: Mapping[str, int]) -> None:
    wrong = [name for name, rank in ranks.items() if rank < 1]
    if wrong:
        raise ValueError(f"the rank of {wrong[0]} is {ranks[wrong[0]]}; it is 1 or more")


def _supposed(table: OwnPreprocess) -> Preprocess:
    """What a table comes to where the weights are fed as ImageNet's are."""
    if table.crop is not None and min(table.crop) < 1:
        raise ValueError("resize and crop must be 1 pixel or more")
    return table.over(Preprocess())


@dataclass(frozen=True, slots=True)
class OwnMethod:
    """A recipe's table [method]: a rung of the ladder with other knobs, which are those of `quant.method.Method`.

    Args:
        base: name of the rung; None: what Method says by itself.
        keep_float: like the recipe's own.
    """

    base: str | None = None
    criterion: Criterion | None = None
    equalize: bool | None = None
    expand: bool | None = None
    rounding: Rounding | None = None
    bias: Bias | None = None
    keep_float: Annotated[tuple[str, ...], Values(read=one_or_more)] = ()


@dataclass(frozen=True, slots=True)
class Compression:
    """A recipe's table [compress]: what is taken out of the model before it is traced. See edgekit.compress.

    Args:
        prune: share of the filters that go, of each layer; 0 with `layers`.
        layers: shell pattern of module paths -> a ratio of its own.
        everywhere: rank the filters of all layers together.
        round_to: filters left are a multiple of it.
        steps: times that filters are chosen anew.
        low_rank: share of each layer's energy that its factors keep.
        budget: share of the MACs of the layers taken apart that may stay, in place of `low_rank`.
        layer_sqnr: dB that a layer of lower rank, on its own, leaves the outputs, in place of `low_rank`.
        ranks: shell pattern of module paths -> a rank of its own.
        kernels: how convolutions of more than one pixel are taken apart.
        whiten: weigh by what the layers give on images, where there are some.
    """

    prune: Annotated[
        float | None, Option("remove this share of the filters before the trace", "RATIO"), Values(0, 0.99)
    ] = None
    criterion: Annotated[CompressionCriterion, Option("which filters go", "NAME", ("--prune-criterion",)), Values()] = (
        "l1"
    )
    layers: Annotated[dict[str, float], Values(check=check_ratios)] = field(default_factory=dict)
    everywhere: bool = False
    round_to: Annotated[int, Option("leave a multiple of so many filters", "N", ("--prune-round",)), Values(low=1)] = 1
    steps: Annotated[int, Values(1, 100)] = 1
    low_rank: Annotated[
        float | None, Option("factors of layers keep this share of their energy", "SHARE"), Values(0, 1)
    ] = None
    budget: Annotated[float | None, Values(0, 1)] = None
    layer_sqnr: Annotated[float | None, Values(low=0)] = None
    ranks: Annotated[dict[str, int], Values(check=check_ranks)] = field(default_factory=dict)
    kernels: Literal["channel", "spatial", "tucker", "none"] = "tucker"
    whiten: bool = True

    @property
    def prunes(self) -> bool:
        return bool(self.prune or any(self.layers.values()))

    @property
    def lowers_ranks(self) -> bool:
        return bool(self.ranks) or any(each is not None for each in (self.low_rank, self.budget, self.layer_sqnr))

    @property
    def name(self) -> str:
        """Of the hop and in the manifest: "prune", "low-rank" or both."""
        done = {"prune": self.prunes, "low-rank": self.lowers_ranks}
        return "+".join(name for name, is_done in done.items() if is_done)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what an export produces. The same recipe gives the same bytes.

    Args:
        model: zoo name, `timm:NAME`, `torchvision:NAME`, `file.py:callable`, `model.onnx` or `model.pt2`.
        weights: "bundled", "imagenet", "random" or a checkpoint file; None: bundled where the model has it.
        input_size: (height, width) in pixels; None: what the weights were made for.
        model_args: keyword arguments of the zoo builder, for example {"alpha": 0.5}.
        calibration: folder or zip of images, or "distill" for images made from the model's BatchNorm statistics.
        samples: how many calibration images, spread evenly over the sorted files.
        quality: which rung of quantization; None where `method` says it.
        method: a rung by name, or a method of one's own (recipe table [method]).
        keep_float: PyTorch module paths, as shell patterns, whose operators stay in float32.
        max_drop, min_sqnr, min_agreement: climb the rungs until at most so many points of accuracy are lost (on the
            labelled images of `eval`), the SQNR of the outputs is at least so many dB, or so many percent of the images
            keep their class. A method that is named is the only rung.
        eval: folder or zip of labelled images to measure rungs on; those that calibration used are left out.
        io: dtype of a quantized file's input and output.
        tune: the core that forms of integer operators are chosen for, by edgekit/costs.toml; None: a phone's small core
            and its large one, a53 and a76, as the geometric mean.
        fold_normalization: take raw 0..255 pixels; mean and std become part of the graph.
        compress: what is taken out of the model before it is traced (recipe table [compress]).
        preprocess: how images become inputs, where the model's file does not say (recipe table [preprocess]).

    Raises:
        EdgekitError: EK106 for values that cannot be used, each named by its field.
    """

    model: Annotated[
        str,
        Option("zoo name, timm:NAME, torchvision:NAME, file.py:callable, model.onnx or model.pt2", is_argument=True),
    ]
    targets: Annotated[
        tuple[str, ...],
        Option("repeatable; see: edgekit targets", "T", ("--target", "-t")),
        Values(read=one_or_more, check=check_targets),
    ]
    weights: Annotated[
        str | None,
        Option("bundled, imagenet, random, or a .pth/.pt/.safetensors file", "W"),
        Values(read=path_as_text),
    ] = None
    num_classes: Annotated[int | None, Option("rows of the classifier", "N"), Values(low=1)] = None
    input_size: Annotated[
        Size | None,
        Option("pixels, for example 224 or 160x128", "HxW"),
        Values(read=parse_size, check=check_size),
    ] = None
    model_args: Annotated[
        dict[str, int | float | bool | str],
        Option("argument of the zoo builder; repeatable", "KEY=VALUE", ("--model-arg",)),
    ] = field(default_factory=dict)
    calibration: Annotated[
        str | None,
        Option("folder or zip of images, or images made from BatchNorm statistics", "DIR|distill"),
        Values(read=path_as_text),
    ] = None
    samples: Annotated[int, Option("calibration images", "N"), Values(low=1)] = 100
    quality: Annotated[Quality | None, Option("fast, balanced or best: how int8 is made  [default: balanced]", "Q")] = (
        None
    )
    method: Annotated[
        str | OwnMethod | None,
        Option("one rung by its name instead, for example adaround; knobs: [method] in FILE", "NAME"),
    ] = None
    keep_float: Annotated[
        tuple[str, ...],
        Option("modules that stay in float32, for example 'head.*'; repeatable", "PATTERN"),
        Values(read=one_or_more),
    ] = ()
    max_drop: Annotated[
        float | None,
        Option("climb until no more accuracy is lost; with --eval", "POINTS", limits="x>=0"),
        Values(low=0),
    ] = None
    min_sqnr: Annotated[float | None, Option("climb until the outputs' SQNR is so high", "DB")] = None
    min_agreement: Annotated[
        float | None, Option("climb until so many images keep their class", "PERCENT"), Values(0, 100)
    ] = None
    eval: Annotated[
        str | None, Option("labelled images to measure on; see: edgekit eval", "DIR"), Values(read=path_as_text)
    ] = None
    labels: Annotated[Path | None, Option("class names, one a line", "FILE")] = None
    io: Annotated[
        Literal["int8", "uint8", "float32"] | None,
        Option("int8, uint8 or float32 input and output of integer files", "DTYPE"),
    ] = None
    fold_normalization: Annotated[bool, Option("take raw 0..255 pixels; mean and std go into the graph")] = False
    tune: Annotated[
        Tune | None,
        Option("a53, a72, a76 or x86: the core that integer forms are chosen for  [default: a53 and a76]", "C"),
    ] = None
    device: Annotated[str, Option("where the files are run", "D")] = "local"
    seed: Annotated[int, Option("of everything random", "N", limits="x>=0"), Values(0, MOST_SEED)] = 0
    out: Annotated[Path, Option("where bundles go", "DIR")] = Path("build")
    compress: Annotated[Compression | None, Values()] = None
    preprocess: Annotated[OwnPreprocess | Preprocess | None, Values(check=check_preprocess)] = None

    def __post_init__(self) -> None:
        """Read every value as its field's type, and refuse those that do not go together."""
        given = {key.name: value for key in fields(self) if (value := getattr(self, key.name)) is not None}
        try:
            values = fill(Recipe, given)
        except Unfit as unfit:
            raise refusal(unfit.problems) from None
        for name, value in values.items():
            object.__setattr__(self, name, value)
        check_together(self)
        if self.quality is None and self.method is None:
            object.__setattr__(self, "quality", "balanced")

    @property
    def kept_float(self) -> tuple[str, ...]:
        """All patterns of modules that stay in float32."""
        return (*self.keep_float, *(self.method.keep_float if isinstance(self.method, OwnMethod) else ()))

    def document(self) -> dict[str, Any]:
        """The recipe as JSON has it: what `make_recipe` takes."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def check_together(recipe: Recipe) -> None:
    """EK106 for values that are sound on their own, but not together."""
    problems = []
    if recipe.max_drop is not None and recipe.eval is None:
        problems.append(Problem("max_drop", "max_drop is measured on labelled images", "name them with --eval DIR"))
    if recipe.method is not None and recipe.quality is not None:
        what = "method and quality both say how integers are made"
        problems.append(Problem(", ".join(EITHER), what, "give the one or the other"))
    if problems:
        raise refusal(problems)
    check_compression(recipe.compress)


def check_compression(compress: Compression | None) -> None:
    """EK106 for a table that says nothing to do, or the ranks twice."""
    if compress is None:
        return
    if not compress.name:
        what = "nothing is taken out: the ratio is 0, and no rank is given"
        raise refusal([Problem("compress", what, "give --prune RATIO, for example 0.3, or --low-rank SHARE")])
    given = [n for n in ("low_rank", "budget", "layer_sqnr") if getattr(compress, n) is not None]
    if len(given) > 1:
        what = f"{' and '.join(given)} each choose the ranks"
        raise refusal([Problem("compress", what, "give one of them")])


def make_recipe(help_command: str = "edgekit export --help", /, **choices: Any) -> Recipe:
    """A Recipe from options; one that is None was not given.

    Args:
        help_command: of the command that was typed, for the fix of a mistake.

    Raises:
        EdgekitError: EK106 naming every option that there is not, that is missing or that cannot be used.
    """
    try:
        values = fill(Recipe, {key: value for key, value in choices.items() if value is not None})
    except Unfit as unfit:
        raise refusal(unfit.problems, help_command) from None
    return Recipe(**values)


def merge(keys: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe file's keys, overridden by options; --method replaces the file's quality, and --quality its method."""
    overridden = EITHER if any(name in options for name in EITHER) else ()
    merged = {**{key: value for key, value in keys.items() if key not in overridden}, **options}
    file, typed = keys.get("preprocess"), options.get("preprocess")
    if isinstance(file, Mapping) and isinstance(typed, Mapping):
        merged["preprocess"] = {**file, **typed}
    return merged


LARGEST_RECIPE = 1 << 24  # bytes


def read_recipe(path: Path) -> dict[str, Any]:
    """The keys of a TOML recipe file; command-line options override them. Weights and labels may lie beside it."""
    try:
        keys = tomllib.loads(read_regular(path, LARGEST_RECIPE, "the recipe").decode())
        for key in ("weights", "labels"):
            if isinstance(keys.get(key), str) and os.path.isfile(path.parent / keys[key]):
                keys[key] = str(path.parent / keys[key])
        return keys
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EdgekitError("EK106", what=f"not valid TOML: {error}", where=str(path), fix="correct the line") from error
