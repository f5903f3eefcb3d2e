"""A folder in which what the documents print is true: the checkpoint, the photographs, the net of a reader.

All of it is small. Where a line needs what another printed line makes (a bundle, a baseline), that line is run first: a
document that names a file which nothing writes is found out.
"""

import glob
import shlex
import shutil
import warnings
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from printed import COMMANDS
from settled import settle, smooth_images
from torch import nn

from edgekit.cli import main
from edgekit.images.folder import ImageFolder
from edgekit.registry import models
from edgekit.source.zoo import reference_preprocess

CLASSES = 7
SIZE = 224
BUNDLE = "build/mobilenet_v3_small/tflite-int8"
WORDS = {"BUNDLE": BUNDLE, "NAME": "mobilenet_v3_small", "EKnnn": "EK301"}
"""What a reader writes for the words in capitals."""
DEVICES = """
[devices.pi4]
uri = "emulated:pi4"

[devices.oldpi]
uri = "emulated:pi4"
"""
NET = """
from torch import nn


def make_net():
    features = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(8, 7))
"""


PLAN = """
models = ["mobilenet_v3_small"]
methods = ["none", "prune"]
ratios = [0.02]
targets = ["tflite-int8"]
calibration = "photos"
metric = "none"
"""


@dataclass(frozen=True)
class Ended:
    """What became of a command."""

    code: int
    printed: str


@dataclass(frozen=True)
class World:
    """The folder of one document's reader.

    Args:
        others: document -> World, where what another document's lines make is taken from.
        template: what is there before anything was run.
    """

    document: str
    folder: Path
    others: "dict[str, World]" = field(repr=False)
    template: Path
    ended: dict[str, Ended] = field(default_factory=dict)

    def ready(self) -> Path:
        """The folder, made when it is first used."""
        if not self.folder.exists():
            shutil.copytree(self.template, self.folder)
        return self.folder

    def run(self, line: str, patch, capsys) -> Ended:
        """Run `edgekit` with the words of a line as a shell would, once; its files are there afterwards."""
        if line not in self.ended:
            for path in needed(line):
                self.have(path, patch, capsys)
            patch.chdir(self.ready())
            capsys.readouterr()
            code = main(shell_words(line)[1:])
            printed = capsys.readouterr()
            self.ended[line] = Ended(code, printed.out + printed.err)
        return self.ended[line]

    def have(self, path: str, patch, capsys) -> None:
        """See to it that what a printed line makes is there."""
        if (self.ready() / path).exists():
            return
        makers = sorted(
            (command for command in COMMANDS if path in made(command.line)),
            key=lambda command: command.document != self.document,
        )
        assert makers, f"{path} is read by a line of {self.document}, and no printed line writes it"
        world = self.others[makers[0].document]
        ended = world.run(makers[0].line, patch, capsys)
        assert ended.code == 0, ended.printed
        if world is not self:
            shutil.copytree(world.folder / path, self.folder / path)


def shell_words(line: str) -> list[str]:
    """The words of a line: quotes and patterns of files as a shell takes them, in the current folder."""
    assert not set("|;&<>`$") & set(line), f"more than a command: {line}"
    words = [WORDS.get(word, word) for word in shlex.split(line)]
    return [found for word in words for found in (sorted(glob.glob(word)) or [word])]


def needed(line: str) -> list[str]:
    """Files and folders that a line reads and that another printed line writes."""
    words = [WORDS.get(word, word) for word in shlex.split(line)]
    bundles = [word.replace("build/*/", "build/mobilenet_v3_small/") for word in words if word.startswith("build/")]
    written = [folder for option, folder in pairwise(words) if option == "--out"]
    runs = ["/".join(word.split("/")[:2]) for word in words if word.startswith("runs/") and word not in written]
    kept = [word for word in words[2:4] if word in ("small", "plan.sqlite")]
    return (
        bundles
        + kept
        + list(dict.fromkeys(runs))
        + [file for option, file in pairwise(words) if option == "--baseline"]
    )


def made(line: str) -> list[str]:
    """Folders and files that a line writes and that others read."""
    words = shlex.split(line)
    pairs = list(pairwise(words))
    if words[:2] == ["edgekit", "export"] and len(words) > 2:  # the name alone stands in sentences
        name = words[2].rpartition(":")[2].removesuffix(".onnx").removesuffix(".pt2")
        return [f"build/{name}/{target}" for option, target in pairs if option == "--target"]
    if words[:2] == ["edgekit", "train"] and "--resume" not in words and words[2:3] and words[2][0] != "-":
        return [next((folder for option, folder in pairs if option == "--out"), f"runs/{words[2]}")]
    if words[:2] == ["edgekit", "compress"]:
        return [folder for option, folder in pairs if option == "--out"]
    if words[:2] == ["edgekit", "sweep"] and words[2].endswith(".toml"):
        return [words[2].replace(".toml", ".sqlite")]
    return [file for option, file in pairs if option == "--history"]


def make_template(folder: Path) -> None:
    """Everything that a reader brings along."""
    folder.mkdir()
    (folder / "devices.toml").write_text(DEVICES)
    (folder / "net.py").write_text(NET)
    (folder / "plan.toml").write_text(PLAN)
    images = smooth_images(CLASSES, SIZE, SIZE)
    other = np.random.default_rng(0).normal(0, 0.05, (2, *images.shape))
    for index, image in enumerate(images):
        save(image, SIZE, folder / f"photos/{index}.png")
        for number, noise in enumerate(other[:, index]):
            save(image + noise, SIZE, folder / f"test/class{index}/{number}.png")
            save(image + noise, 32, folder / f"cifar10/test/class{index}/{number}.png")
    shutil.copytree(folder / "cifar10/test", folder / "cifar10/train")
    torch.save(trained(folder / "photos").state_dict(), folder / "my.pth")
    net = namespace(folder / "net.py")["make_net"]().eval()
    example = (torch.zeros(1, 3, SIZE, SIZE),)
    torch.export.save(torch.export.export(net, example), folder / "model.pt2")
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(net, example, folder / "model.onnx", dynamo=False)


def save(image, pixels: int, file: Path) -> None:
    """f32[3, H, W] of deviation 1 as a square picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    colours = np.clip(124 + 58 * image.transpose(1, 2, 0), 0, 255).astype(np.uint8)
    Image.fromarray(colours).resize((pixels, pixels)).save(file)


def trained(photos: Path) -> nn.Module:
    """MobileNetV2 that knows each photograph as a class of its own, as it is fed to it."""
    model = models.get("mobilenet_v2")
    (images,) = ImageFolder.open(photos).batches(reference_preprocess(model, CLASSES), CLASSES)
    torch.manual_seed(0)
    return settle(model.build(num_classes=CLASSES), images)


def namespace(file: Path) -> dict[str, object]:
    """What a Python file defines."""
    found: dict[str, object] = {}
    exec(compile(file.read_text(), file, "exec"), found)
    return found
