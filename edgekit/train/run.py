"""A run in its folder: epoch by epoch, a checkpoint behind each, and the results at the end."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from edgekit.errors import EdgekitError
from edgekit.progress import Progress
from edgekit.registry import Preprocess
from edgekit.train import checkpoint, finish, page, run_folder
from edgekit.train.config import TrainConfig
from edgekit.train.distil import Distillation
from edgekit.train.finish import TrainResult
from edgekit.train.loop import Diverged, Epoch, Trainer, diverged, measure
from edgekit.train.pictures import Pictures
from edgekit.train.pixels import Pixels
from edgekit.train.start import Start
from edgekit.train.task import Batch, Classification
from edgekit.train.workers import Workers

BAD_BATCH = "nan_batch.pt"


class Listener(Progress, Protocol):
    """Who hears how far a run is."""

    def say(self, text: str) -> None:
        """A line that stays: an epoch's figures, what was found."""
        ...


class Quiet:
    """A Listener for processes that do not speak."""

    def start(self, stage: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...

    def step(self, done: int, total: int | None) -> None: ...

    def finish(self, stage: str) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Images:
    """The pictures of a run, listed and decoded.

    Args:
        measured: what accuracy is measured on; None: nothing.
    """

    listed: Pictures = field(repr=False)
    learned: Pixels = field(repr=False)
    measured: Pixels | None = field(repr=False)


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
        try:
            while self.trainer.epoch < self.config.epochs:
                self._advance()
            return self._finish()
        except KeyboardInterrupt:
            self.listener.say(f"stopped; what was done stays. Go on with it: edgekit train {self.folder} --resume")
            raise

    @property
    def _choices(self) -> dict[str, str]:
        images = {"training images": self.images.listed.fingerprint()}
        if self.images.measured is not None:
            images["number of images to measure on"] = str(len(self.images.measured))
        if isinstance(self.trainer.task, Distillation):
            images["teacher's weights"] = self.trainer.task.teacher.sha256
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
        except (RuntimeError, MemoryError) as error:
            if "memory" not in str(error) and not isinstance(error, MemoryError):
                raise
            raise no_room(self.config, self.folder) from error
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
        plain = not (self.config.mixup or self.config.cutmix or self.config.teacher)
        bad = [*self.images.learned.unreadable, *(self.images.measured.unreadable if self.images.measured else ())]
        html = page.render(
            self.begun.name, self.rows, self.config.epochs, self._facts(), self._said(), bad, floor if plain else None
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
            export = run_folder.export_recipe(self.config.model, self.config.model_args, len(classes), self.feed)
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


def no_room(config: TrainConfig, folder: Path) -> EdgekitError:
    """EK704, with the parts that a batch could be computed in."""
    parts = next((n for n in range(config.accumulate + 1, config.batch_size) if config.batch_size % n == 0), None)
    smaller = f"--accumulate {parts}" if parts and config.batch_size // parts > 1 else "a smaller --input-size"
    return EdgekitError(
        "EK704",
        what=f"a batch of {config.batch_size} images in {config.accumulate} parts does not fit into memory",
        where=str(folder),
        fix=f"compute it in more parts or smaller: {smaller}, in another --out",
    )


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


def in_words(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s`, `45 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"
