"""The recipe: every choice of an export, from the command line or a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from edgekit.errors import EdgekitError
from edgekit.registry import Preprocess

Size = tuple[PositiveInt, PositiveInt]


def parse_size(text: object) -> object:
    """`224x160` -> (224, 160) as (height, width); `224` is square."""
    if isinstance(text, int) and not isinstance(text, bool):
        return (text, text)
    if not isinstance(text, str):
        return text
    height, cross, width = text.lower().partition("x")
    if not height.isdigit() or (cross and not width.isdigit()):
        raise ValueError(f"{text!r} is not a size; write it as 224 or 224x224 (height x width, pixels)")
    return (int(height), int(width or height))


def path_as_text(given: object) -> object:
    """Names and files share an option; Python callers may give a Path."""
    return str(given) if isinstance(given, Path) else given


def without_labels(given: object) -> object:
    """A table [preprocess] that names no label set has none: ImageNet's names would be a guess."""
    return {"labels": None, **given} if isinstance(given, dict) else given


class Recipe(BaseModel):
    """Everything that decides what an export produces. The same recipe gives the same bytes.

    Args:
        model: zoo name, `timm:NAME`, `torchvision:NAME`, `file.py:callable`, `model.onnx` or `model.pt2`.
        weights: "bundled", "imagenet", "random" or a checkpoint file; None: bundled where the model has it.
        input_size: (height, width) in pixels; None: what the weights were made for.
        preprocess: how images become inputs, where the model's file does not say (recipe table [preprocess]).
        model_args: keyword arguments of the zoo builder, for example {"alpha": 0.5}.
        calibration: folder or zip of images, or "distill" for images made from the model's BatchNorm statistics.
        samples: how many calibration images, spread evenly over the sorted files.
        quality: which rung of quantization: "fast", "balanced" or "best".
        max_drop, min_sqnr, min_agreement: climb the rungs until at most so many points of accuracy are lost (on the
            labelled images of `eval`), the SQNR of the outputs is at least so many dB, or so many percent of the images
            keep their class.
        eval: folder or zip of labelled images to measure rungs on; those that calibration used are left out.
        fold_normalization: take raw 0..255 pixels; mean and std become part of the graph.
        io: dtype of a quantized file's input and output.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    targets: tuple[str, ...] = Field(min_length=1)
    weights: Annotated[str | None, BeforeValidator(path_as_text)] = None
    num_classes: int | None = Field(default=None, ge=1)
    input_size: Annotated[Size | None, BeforeValidator(parse_size)] = None
    preprocess: Annotated[Preprocess | None, BeforeValidator(without_labels)] = None
    model_args: dict[str, int | float | bool | str] = Field(default_factory=dict)
    calibration: Annotated[str | None, BeforeValidator(path_as_text)] = None
    samples: int = Field(default=100, ge=1)
    labels: Path | None = None
    quality: Literal["fast", "balanced", "best"] = "balanced"
    eval: Annotated[str | None, BeforeValidator(path_as_text)] = None
    max_drop: float | None = Field(default=None, ge=0)
    min_sqnr: float | None = None
    min_agreement: float | None = Field(default=None, ge=0, le=100)
    io: Literal["int8", "uint8", "float32"] | None = None
    fold_normalization: bool = False
    device: str = "local"
    out: Path = Path("build")
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("max_drop")
    @classmethod
    def _check_max_drop(cls, max_drop: float | None, info: ValidationInfo) -> float | None:
        if max_drop is not None and info.data.get("eval") is None:
            raise ValueError("it is measured on labelled images: name them with --eval DIR")
        return max_drop

    @field_validator("preprocess")
    @classmethod
    def _check_preprocess(cls, preprocess: Preprocess | None) -> Preprocess | None:
        if preprocess is None:
            return None
        if len(preprocess.mean) != len(preprocess.std) or not preprocess.mean:
            raise ValueError(f"{len(preprocess.mean)} means and {len(preprocess.std)} deviations; give one per channel")
        if min(preprocess.std) <= 0:
            raise ValueError("a deviation (std) must be above 0")
        if min(preprocess.resize, *preprocess.crop) < 1:
            raise ValueError("resize and crop must be 1 pixel or more")
        return preprocess


def make_recipe(**choices: Any) -> Recipe:
    """A Recipe from options, or EK106 naming each option that cannot be used."""
    try:
        return Recipe.model_validate({key: value for key, value in choices.items() if value is not None})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise EdgekitError(
            "EK106",
            what=problems[0],
            where=", ".join(sorted({str(e["loc"][0]) for e in error.errors()})),
            fix="see: edgekit export --help",
        ) from error


def read_recipe(path: Path) -> dict[str, Any]:
    """The keys of a TOML recipe file; command-line options override them. Weights and labels may lie beside it."""
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
        for key in ("weights", "labels"):
            if isinstance(keys.get(key), str) and (path.parent / keys[key]).is_file():
                keys[key] = str(path.parent / keys[key])
        return keys
    except OSError as error:
        what = "recipe not found" if isinstance(error, FileNotFoundError) else f"cannot read it: {error.strerror}"
        raise EdgekitError("EK102", what=what, where=str(path), fix="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgekitError("EK106", what=f"not valid TOML: {error}", where=str(path), fix="correct the line") from error
