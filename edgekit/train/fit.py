"""`edgekit train`: from choices to a run, and the run to its end."""

from dataclasses import replace
from pathlib import Path

import torch

from edgekit.bundle.write import check_writable
from edgekit.registry import Preprocess
from edgekit.train import run_folder, settle
from edgekit.train.augment import Normalize, policy
from edgekit.train.choices import located
from edgekit.train.config import TrainConfig
from edgekit.train.distil import Distillation, load_teacher
from edgekit.train.feed import Feed
from edgekit.train.finish import TrainResult
from edgekit.train.layouts import open_pictures, own_half
from edgekit.train.loop import Trainer
from edgekit.train.mix import Mix
from edgekit.train.pictures import Pictures, check_classes, split_by_seed, with_classes
from edgekit.train.pixels import Keeping, decode, largest_side, statistics
from edgekit.train.run import Images, Listener, Quiet, Run
from edgekit.train.start import Start, check_model, run_name, start
from edgekit.train.task import Classification, Task
from edgekit.train.workers import Workers, check_precision, chosen_device, joined


def train(config: TrainConfig, listener: Listener) -> TrainResult:
    """Run `config` to its end, from its checkpoint if asked, and write what `edgekit export RUN` needs.

    Raises:
        EdgekitError: EK101 to EK107 from the model; EK102, EK108, EK109 unusable images; EK106 choices that do not fit,
            or another run's folder; EK203 an input size that the model cannot take; EK506 the loss is no number; EK702
            the run folder cannot be written, which costs no more than the epoch it happened in.
    """
    check_model(config)
    config = located(config)
    if config.out is not None:
        check_folder(config, config.out)
    device = chosen_device(config)
    check_precision(config, device)
    with joined(device) as workers:
        return _train(config, listener if workers.first else Quiet(), device, workers)


def check_folder(config: TrainConfig, folder: Path) -> None:
    """EK702 where nothing can be written, EK106 where another run is and this one is not to go on with it."""
    check_writable(folder)
    if not config.resume:
        run_folder.check_free(folder)


def _train(config: TrainConfig, listener: Listener, device: torch.device, workers: Workers) -> TrainResult:
    learned, measured = listed(config)
    listener.start("build the model")
    begun = start(config, len(learned.classes), listener.amount)
    side = largest_side(learned)
    size = settle.chosen_size(config, begun, side)
    begun = replace(begun, feed=settle.fitted_feed(config, begun.feed, size, side))
    settle.check_size(begun.module, begun.feed, config.model)
    listener.finish("build the model")
    folder = run_name(config, begun.name)
    check_folder(config, folder)
    images = decoded(config, learned, measured, begun.feed, folder, listener)
    feed = fed(begun, images)
    batch = settle.fitting_batch(config, len(images.learned), workers.count)
    config = settle.settled(config, begun.module, size, config.epochs * max(1, len(images.learned) // batch))
    for line in told(config, begun, images, feed, batch):
        listener.say(line)
    task = task_of(config, images.learned.classes, feed, device, listener)
    if workers.first:
        run_folder.write_recipe(folder, config)
    workers.wait()
    torch.manual_seed(config.seed)
    trainer = trainer_of(config, begun, task, images, feed, batch, device, workers)
    run = Run(config, begun, images, feed, folder, listener, workers, trainer)
    return run.to_the_end()


def listed(config: TrainConfig) -> tuple[Pictures, Pictures | None]:
    """(to learn from, to measure on): as they are given, as the data splits itself, or split by seed.

    Raises:
        EdgekitError: EK102, EK108, EK109 for images and classes that cannot be used.
    """
    pictures = open_pictures(config.data, config.labels)
    check_classes(pictures)
    if config.eval is not None:
        measured = open_pictures(config.eval, config.labels, measure=True)
        return pictures.only(_of("train", pictures)), with_classes(measured, pictures.classes, config.data)
    if "val" in pictures.split:
        return pictures.only(_of("train", pictures)), pictures.only(_of("val", pictures))
    if own_half(config.data):
        measured = open_pictures(config.data, config.labels, measure=True)
        return pictures, with_classes(measured, pictures.classes, config.data)
    return split_by_seed(pictures, config.val_share, config.seed)


def _of(half: str, pictures: Pictures) -> list[int]:
    return [index for index in range(len(pictures)) if not pictures.split or pictures.split[index] == half]


def decoded(
    config: TrainConfig,
    learned: Pictures,
    measured: Pictures | None,
    feed: Preprocess,
    folder: Path,
    listener: Listener,
) -> Images:
    """Decode all pictures, with progress."""
    keeping = Keeping(config.memory_gb, config.max_corrupt, folder)
    listener.start("decode training images")
    pixels = decode(learned, feed, keeping, listener.step)
    listener.finish("decode training images")
    if measured is None:
        return Images(learned, pixels, None)
    listener.start("decode images to measure on")
    held = decode(measured, feed, keeping, listener.step, exact=True)
    listener.finish("decode images to measure on")
    return Images(learned, pixels, held)


def fed(begun: Start, images: Images) -> Preprocess:
    """How images become the input: as the weights or the user say; else normalised by the images' own statistics."""
    named = replace(begun.feed, labels=None)
    if not begun.assumed:
        return named
    mean, std = statistics(images.learned)
    return replace(named, mean=mean, std=std)


def trainer_of(
    config: TrainConfig,
    begun: Start,
    task: Task,
    images: Images,
    feed: Preprocess,
    batch: int,
    device: torch.device,
    workers: Workers,
) -> Trainer:
    """The loop for a classifier."""
    assert config.input_size is not None
    made = Feed(
        images.learned,
        Normalize.of(feed),
        policy(config.augment, config.input_size, config.rand_augment, config.erasing),
        Mix(config.mixup, config.cutmix),
        batch,
        config.accumulate,
        config.seed,
        workers,
        device,
    )
    return Trainer(begun.module, task, made, config, begun.head, workers)


def task_of(
    config: TrainConfig, classes: tuple[str, ...], feed: Preprocess, device: torch.device, listener: Listener
) -> Task:
    """What is learned: the labels, and a teacher's answers where there is one."""
    labels = Classification(config.smoothing)
    if config.teacher is None:
        return labels
    listener.start("load the teacher")
    teacher = load_teacher(config, classes, feed, listener.amount)
    listener.finish("load the teacher")
    moved = replace(teacher, module=teacher.module.to(device))
    return Distillation(labels, moved, feed, config.temperature, config.distillation)


def told(config: TrainConfig, begun: Start, images: Images, feed: Preprocess, batch: int) -> list[str]:
    """What was found and decided, a line each."""
    height, width = feed.crop
    measured = f"{len(images.measured):,} to measure on" if images.measured else "none to measure on: give --eval DIR"
    lines = [
        *begun.notes,
        f"{len(images.learned):,} images of {len(images.learned.classes)} classes, {measured}",
        f"input {height}x{width}, mean {feed.mean}, std {feed.std}" + (" (of these images)" if begun.assumed else ""),
        f"{config.optimizer}, rate {config.learning_rate:g}, batch {batch}, {config.epochs} epochs,"
        f" {config.epochs * max(1, len(images.learned) // batch):,} steps",
    ]
    bad = [*images.learned.unreadable, *(images.measured.unreadable if images.measured else ())]
    if bad:
        named = ", ".join(f"{name} ({why})" for name, why in bad[:3])
        lines.append(f"{len(bad)} images cannot be read and are left out: {named}{' ...' if len(bad) > 3 else ''}")
    return lines
