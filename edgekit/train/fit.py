"""`edgekit train`: from choices to a finished run folder, resumable after every epoch."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from edgekit.bundle.write import check_writable
from edgekit.progress import Progress
from edgekit.registry import Preprocess
from edgekit.source import source_kind
from edgekit.train import checkpoint, finish, page, run_folder, settle
from edgekit.train.augment import Normalize, policy
from edgekit.train.config import TrainConfig
from edgekit.train.feed import Feed
from edgekit.train.finish import TrainResult
from edgekit.train.layouts import open_pictures, own_half
from edgekit.train.loop import Diverged, Epoch, Trainer, diverged, measure
from edgekit.train.mix import Mix
from edgekit.train.pictures import Pictures, check_classes, split_by_seed, with_classes
from edgekit.train.pixels import Keeping, Pixels, decode, largest_side, statistics
from edgekit.train.start import Start, check_model, run_name, start
from edgekit.train.task import Batch, Classification
from edgekit.train.workers import Workers, check_precision, chosen_device, joined

BAD_BATCH = "nan_batch.pt"


class Listener(Progress, Protocol):
    """Who hears how far a run is."""

    def say(self, text: str) -> None:
        """A line that stays: an epoch's figures, what was found."""
        ...


@dataclass(frozen=True, slots=True)
class Images:
    """The pictures of a run, listed and decoded.

    Args:
        measured: what accuracy is measured on; None: nothing.
    """

    listed: Pictures = field(repr=False)
    learned: Pixels = field(repr=False)
    measured: Pixels | None = field(repr=False)


def train(config: TrainConfig, listener: Listener) -> TrainResult:
    """Run `config` to its end, from its checkpoint if asked, and write what `edgekit export RUN` needs.

    Raises:
        EdgekitError: EK101 to EK107 from the model; EK102, EK108, EK109 unusable images; EK106 choices that do not fit,
            or another run's folder; EK203 an input size that the model cannot take; EK506 the loss is no number; EK702
            the run folder cannot be written, which costs no more than the epoch it happened in.
    """
    check_model(config)
    if config.out is not None:
        check_folder(config, config.out)
    device = chosen_device(config)
    check_precision(config, device)
    with joined(device) as workers:
        return _train(config, listener if workers.first else Quiet(), device, workers)


class Quiet:
    """A Listener for processes that do not speak."""

    def start(self, stage: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...

    def step(self, done: int, total: int | None) -> None: ...

    def finish(self, stage: str) -> None: ...

    def say(self, text: str) -> None: ...


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
    if workers.first:
        run_folder.write_recipe(folder, config)
    workers.wait()
    torch.manual_seed(config.seed)
    run = Run(
        config,
        begun,
        images,
        feed,
        folder,
        listener,
        workers,
        trainer_of(config, begun, images, feed, batch, device, workers),
    )
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
    keeping = Keeping(config.memory_gb, config.max_corrupt, folder / "pixels.u8")
    listener.start("decode training images")
    pixels = decode(learned, feed, keeping, listener.step)
    listener.finish("decode training images")
    if measured is None:
        return Images(learned, pixels, None)
    listener.start("decode images to measure on")
    held = decode(measured, feed, replace(keeping, file=folder / "measured.u8"), listener.step, exact=True)
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
    return Trainer(begun.module, Classification(config.smoothing), made, config, begun.head, workers)


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


@dataclass
class Run:
    """A run in its folder."""

    config: TrainConfig
    begun: Start
    images: Images
    feed: Preprocess
    folder: Path
    listener: Listener
    workers: Workers
    trainer: Trainer
    rows: list[dict[str, Any]] = field(default_factory=list)

    def to_the_end(self) -> TrainResult:
        """All epochs that are left, then the results."""
        if self.config.resume:
            self._restore()
        while self.trainer.epoch < self.config.epochs:
            self._advance()
        return self._finish()

    @property
    def _choices(self) -> dict[str, str]:
        images = {"training images": self.images.listed.fingerprint()}
        if self.images.measured is not None:
            images["number of images to measure on"] = str(len(self.images.measured))
        return {**run_folder.comparable(self.config), **images}

    def _restore(self) -> None:
        saved = checkpoint.load(self.folder, self._choices)
        if saved is None:
            return
        self.trainer.epoch, self.rows = saved.epoch, list(saved.rows)
        self.trainer.module.load_state_dict(saved.model)
        self.trainer.averaged.load_state_dict(saved.averaged)
        self.trainer.optimizer.load_state_dict(saved.optimizer)
        self.listener.say(f"going on after epoch {saved.epoch}")

    def _advance(self) -> None:
        stage = f"epoch {self.trainer.epoch + 1}/{self.config.epochs}"
        self.listener.start(stage)
        try:
            epoch = self.trainer.advance(self.listener.step)
        except Diverged as error:
            raise diverged(error, self.config, self._keep_batch) from error
        figure = None
        if self.images.measured is not None:
            self.listener.start(f"{stage}: measure")
            figure = self.trainer.measure(self.images.measured, self.feed, self.listener.step)
        self.rows.append(_row(self.trainer.epoch, epoch, figure))
        if self.workers.first:
            self._save()
        self.workers.wait()
        self.listener.say(self._line(epoch, figure))

    def _save(self) -> None:
        """The checkpoint first: all else can be made from it again."""
        trainer = self.trainer
        state = checkpoint.Checkpoint(
            epoch=trainer.epoch,
            choices=self._choices,
            model=trainer.module.state_dict(),
            averaged=trainer.averaged.state_dict(),
            optimizer=trainer.optimizer.state_dict(),
            rows=self.rows,
            classes=list(self.images.learned.classes),
            feed=asdict(self.feed),
        )
        checkpoint.save(state, self.folder)
        self._tell()

    def _tell(self) -> None:
        run_folder.write_metrics(self.folder, self.rows, self.trainer.task.figure)
        floor = Classification(self.config.smoothing).floor(len(self.images.learned.classes))
        unmixed = not (self.config.mixup or self.config.cutmix)
        bad = [*self.images.learned.unreadable, *(self.images.measured.unreadable if self.images.measured else ())]
        html = page.render(
            self.begun.name, self.rows, self.config.epochs, self._facts(), self._said(), bad, floor if unmixed else None
        )
        run_folder.write_files(self.folder, {run_folder.REPORT: html})

    def _finish(self) -> TrainResult:
        self.listener.start("write the results")
        stored = finish.as_stored(self.trainer.averaged, self.config.half)
        top1 = None
        if self.images.measured is not None:
            top1 = measure(stored, self.trainer.task, self.images.measured, self.feed, self.workers, self.listener.step)
        digest = ""
        if self.workers.first:
            pictures = finish.calibration_pictures(self.images.listed, self.feed)
            classes = self.images.learned.classes
            export = run_folder.export_recipe(
                _where(self.config.model), self.config.model_args, len(classes), self.feed
            )
            card = {**self._facts(), "top-1": self._measured(top1), **self._said()}
            digest = finish.write_results(
                self.folder, stored, self.config.half, classes, pictures, export, card, self.begun.name
            )
            self._tell()
        self.workers.wait()
        self.listener.finish("write the results")
        return TrainResult(self.folder, digest, top1)

    def _measured(self, top1: float | None) -> str:
        held = self.images.measured
        return "not measured" if top1 is None or held is None else f"{top1:.2f} % of {len(held):,} images"

    def _facts(self) -> dict[str, str]:
        """For the card and the page; no path of the machine in it."""
        feed, held = self.feed, self.images.measured
        return {
            "classes": ", ".join(self.images.learned.classes),
            "training images": f"{len(self.images.learned):,} ({self.config.data.name}), kept at"
            f" {self.images.learned.side}x{self.images.learned.side}",
            "measured on": f"{len(held):,} images" if held else "nothing",
            "began with": "; ".join(self.begun.notes) or "random weights",
            "input": f"{'grey' if len(feed.mean) == 1 else feed.channel_order} {feed.crop[0]}x{feed.crop[1]} of"
            f" {feed.resize}, mean {feed.mean}, std {feed.std}",
        }

    def _said(self) -> dict[str, str]:
        """Every option by name, without folders."""
        values = run_folder.comparable(self.config)
        return {key.replace("_", " "): value for key, value in values.items() if key not in ("model", "preprocess")}

    def _line(self, epoch: Epoch, figure: float | None) -> str:
        left = (self.config.epochs - self.trainer.epoch) * epoch.seconds
        measured = "" if figure is None else f"  top-1 {figure:.2f} %"
        return (
            f"epoch {self.trainer.epoch}/{self.config.epochs}  {epoch.size[0]}x{epoch.size[1]}  rate {epoch.rate:.2g}"
            f"  loss {epoch.loss:.4f}{measured}  {epoch.images / epoch.seconds:,.0f} images/s  {epoch.seconds:.0f} s"
            + (f"  {in_words(left)} left" if left else "")
        )

    def _keep_batch(self, batch: Batch) -> str:
        path = self.folder / BAD_BATCH
        try:
            torch.save({"images": batch.images.cpu(), "targets": batch.targets.cpu()}, path)
        except (OSError, RuntimeError) as error:
            return f"{path} (not kept: {error})"
        return str(path)


def _row(number: int, epoch: Epoch, figure: float | None) -> dict[str, Any]:
    return {
        "epoch": number,
        "loss": epoch.loss,
        "figure": figure,
        "rate": epoch.rate,
        "size": f"{epoch.size[0]}x{epoch.size[1]}",
        "images_per_s": round(epoch.images / epoch.seconds, 1),
        "seconds": round(epoch.seconds, 2),
        "computing": round(epoch.computing, 4),
    }


def _where(model: str) -> str:
    """A Python file by its absolute path: the run folder does not lie beside it."""
    if source_kind(model) != "python_file":
        return model
    path, _, name = model.rpartition(":")
    return f"{Path(path).absolute()}:{name}"


def in_words(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s`, `45 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"
