"""What a training run is told: every option, for the command line, recipe.toml and Python alike."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from edgekit.errors import EdgekitError
from edgekit.options import Option, Unfit, Values, fill, refusal
from edgekit.recipe import (
    MOST_SEED,
    OwnPreprocess,
    Size,
    check_preprocess,
    check_size,
    parse_size,
    path_as_text,
)
from edgekit.registry import Preprocess

HELP = "edgekit train --help"
SCRATCH = "random"

Optimizer = Literal["sgd", "rmsprop", "adamw"]
Schedule = Literal["cosine", "linear", "step"]
Strength = Literal["none", "light", "full"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Every choice of a training run. The same choices, images and seed give the same weights on the same machine.

    Shares are of the whole run, so that another number of epochs is the same schedule, stretched. A field that is None
    is decided when model and images are known (`edgekit.train.settle`) and stands in the run's recipe.toml.

    Args:
        eval: images to measure on; None: those of the data's own split, else `val_share` of each class.
        out: the run folder; None: runs/MODEL.
        weights: None and "random" are from scratch; anything else is a start, whose head is replaced where it has
            another number of classes.
        batch_size: images of one step of the optimiser, whatever processes and parts they are spread over.
        accumulate: parts that a batch is computed in, one after the other, where it does not fit into memory.
        layer_decay: the first layer learns with this share of the rate, the last with all of it, those between in
            geometric steps.
        freeze: so many epochs, at first, train the new head alone.
        smoothing: share of the target spread over all classes.
        ema: decay per step of the averaged weights, which are those that are kept; 0: the last ones are.
        start_size: input size of the first half of the epochs, which are cheaper (progressive learning).
        teacher: a net whose answers, softened by `temperature`, make `distillation` of the loss.
        memory_gb: decoded images kept in memory; where they are more, each is decoded when its turn comes.
        max_corrupt: share of the images that may be unreadable; they are left out and named.
        half: store the weights as float16; what is measured in the end is what is stored.
    """

    model: Annotated[
        str,
        Option("zoo name, timm:NAME, torchvision:NAME, file.py:callable; or a run folder", is_argument=True),
    ]
    data: Annotated[Path, Option("class folders, a .zip of them, a .csv of paths, or CIFAR-10's .bin batches", "DATA")]
    eval: Annotated[Path | None, Option("the same, to measure on", "DATA")] = None
    val_share: Annotated[
        float, Option("of each class, kept to measure on where there is no --eval", "SHARE", limits="0<=x<1"), Values(0)
    ] = 0.1
    labels: Annotated[Path | None, Option("class names, one a line, where the data has numbers", "FILE")] = None
    out: Annotated[Path | None, Option("the run folder  [default: runs/MODEL]", "DIR")] = None
    weights: Annotated[
        str | None,
        Option("start from: bundled, imagenet or a FILE; the head is replaced  [default: random]", "W"),
        Values(read=path_as_text),
    ] = None
    model_args: Annotated[
        dict[str, int | float | bool | str],
        Option("argument of the model's builder; repeatable", "KEY=VALUE", ("--model-arg",)),
    ] = field(default_factory=dict)
    input_size: Annotated[
        Size | None,
        Option("pixels  [default: what the weights were made for; less for small images]", "HxW"),
        Values(read=parse_size, check=check_size),
    ] = None
    start_size: Annotated[Size | None, Option("pixels, in the first half", "HxW"), Values(read=parse_size)] = None
    preprocess: Annotated[OwnPreprocess | Preprocess | None, Values(check=check_preprocess)] = None
    epochs: Annotated[int, Option("passes over the images", "N"), Values(low=1)] = 30
    batch_size: Annotated[int, Option("images a step", "N"), Values(low=1)] = 128
    accumulate: Annotated[int, Option("parts that a batch is computed in", "N"), Values(low=1)] = 1
    optimizer: Annotated[Optimizer, Option("sgd (Nesterov), rmsprop or adamw", "O")] = "adamw"
    learning_rate: Annotated[
        float | None, Option("at its peak  [default: by optimiser and batch]", "RATE"), Values(low=0)
    ] = None
    momentum: Annotated[float, Option("of sgd and rmsprop", "M", limits="0<=x<1"), Values(0, 1)] = 0.9
    weight_decay: Annotated[
        float | None,
        Option("none on norms, biases, depthwise filters  [default: by optimiser]", "D"),
        Values(low=0),
    ] = None
    schedule: Annotated[Schedule, Option("cosine, linear or step: how the rate falls", "S")] = "cosine"
    warmup: Annotated[float, Option("share of the run in which the rate rises", "SHARE"), Values(0, 1)] = 0.05
    layer_decay: Annotated[
        float | None,
        Option("share of the rate for the first layer  [default: 1; 0.3 with --weights]", "SHARE"),
        Values(0, 1),
    ] = None
    freeze: Annotated[int, Option("epochs that train the new head alone", "N"), Values(low=0)] = 0
    smoothing: Annotated[float, Option("of the labels", "SHARE"), Values(0, 1)] = 0.1
    ema: Annotated[
        float | None, Option("decay per step of the averaged weights, 0: none  [default: by length]", "D"), Values(0, 1)
    ] = None
    augment: Annotated[Strength, Option("none, light or full: crops, mirror, warps, colours", "A")] = "full"
    rand_augment: Annotated[
        float, Option("RandAugment's magnitude, in place of warps and colours", "0..10"), Values(0, 10)
    ] = 0.0
    mixup: Annotated[float, Option("alpha of mixup, 0: none", "A"), Values(low=0)] = 0.0
    cutmix: Annotated[float, Option("alpha of cutmix, 0: none", "A"), Values(low=0)] = 0.0
    erasing: Annotated[float, Option("share of the images with an erased square", "SHARE"), Values(0, 1)] = 0.25
    teacher: Annotated[
        str | None,
        Option("run folder or model whose answers are learned too (distillation)", "MODEL"),
        Values(read=path_as_text),
    ] = None
    teacher_weights: Annotated[
        str | None, Option("of a teacher that is no run folder", "W"), Values(read=path_as_text)
    ] = None
    temperature: Annotated[float, Option("of the teacher's answers", "T"), Values(low=0.1)] = 4.0
    distillation: Annotated[float, Option("the teacher's share of the loss", "SHARE"), Values(0, 1)] = 0.9
    precision: Annotated[Precision, Option("float32 or bfloat16 (autocast)", "P")] = "float32"
    device: Annotated[str | None, Option("cpu or cuda  [default: cuda where there is one]", "D")] = None
    memory_gb: Annotated[float, Option("decoded images kept in memory", "GB"), Values(low=0)] = 4.0
    max_corrupt: Annotated[float, Option("share of unreadable images that is left out", "SHARE"), Values(0, 1)] = 0.01
    half: Annotated[bool, Option("store float16 weights")] = False
    seed: Annotated[int, Option("of everything random", "N", limits="x>=0"), Values(0, MOST_SEED)] = 0
    resume: Annotated[bool, Option("go on from the checkpoint in the run folder")] = False

    @property
    def pretrained(self) -> bool:
        """Whether training starts from weights."""
        return self.weights not in (None, SCRATCH)


def make_config(**choices: Any) -> TrainConfig:
    """A TrainConfig from options; one that is None was not given.

    Raises:
        EdgekitError: EK106 naming every option that there is not, that is missing or that cannot be used.
    """
    try:
        values = fill(TrainConfig, {key: value for key, value in choices.items() if value is not None})
    except Unfit as unfit:
        raise refusal(unfit.problems, HELP) from None
    config = TrainConfig(**values)
    _check_together(config)
    return config


def _check_together(config: TrainConfig) -> None:
    """EK106 for choices that are sound on their own, but not together."""
    if config.freeze and not config.pretrained:
        raise unusable("a net without weights has nothing to freeze", "--freeze", "name --weights, or leave it out")
    if config.freeze >= config.epochs:
        raise unusable(f"all {config.epochs} epochs would train the head alone", "--freeze", "give fewer")
    if config.teacher_weights and not config.teacher:
        raise unusable("there is no teacher for these weights", "--teacher-weights", "name it: --teacher MODEL")
    if config.val_share >= 1 or config.momentum >= 1:
        which = "--val-share" if config.val_share >= 1 else "--momentum"
        raise unusable("1 leaves nothing", which, "give less than 1")
    if config.batch_size % config.accumulate:
        raise unusable(
            f"a batch of {config.batch_size} images cannot be split into {config.accumulate} equal parts",
            "--accumulate",
            "take a divisor of --batch-size",
        )


def unusable(what: str, where: str, fix: str) -> EdgekitError:
    """EK106."""
    return EdgekitError("EK106", what=what, where=where, fix=fix)
