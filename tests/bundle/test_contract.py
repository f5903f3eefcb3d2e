"""contract.json: following its steps with nothing but Pillow and numpy gives what the file is fed."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.bundle.contract import make_contract
from edgekit.images.preprocess import load_image
from edgekit.registry import Preprocess
from edgekit.target import Emitted, TensorInfo

OUTPUT = TensorInfo("output", (1, 10), "float32", "NC")


def contract(tensor, feed=None, labels=()):
    emitted = Emitted(b"", (tensor,), (OUTPUT,), {})
    return make_contract(feed or Preprocess(), emitted, labels, {OUTPUT.name: "scores"})


def test_a_float_file_ends_with_its_layout():
    made = contract(TensorInfo("input", (1, 3, 224, 224), "float32", "NCHW"), labels=("cat",))
    assert made.steps[-1] == "lay the values out as NCHW: [1, 3, 224, 224]"
    assert (made.labels, made.outputs, made.preprocess) == (
        ("cat",),
        (replace(OUTPUT, meaning="scores"),),
        Preprocess(),
    )
    assert not any("quantize" in step for step in made.steps)


def test_labels_belong_to_scores_alone():
    emitted = Emitted(b"", (TensorInfo("input", (1, 3, 8, 8), "float32", "NCHW"),), (OUTPUT,), {})
    made = make_contract(Preprocess(), emitted, ("cat",), {OUTPUT.name: "values"})
    assert (made.labels, made.outputs[0].meaning) == ((), "values")


@pytest.mark.parametrize(("dtype", "low", "high"), [("int8", -128, 127), ("uint8", 0, 255), ("int16", -32768, 32767)])
def test_an_integer_file_ends_with_how_to_quantize(dtype, low, high):
    made = contract(TensorInfo("input", (1, 224, 224, 3), dtype, "NHWC", 0.018658, 114 if low else -14))
    expected = f"quantize: stored = clip(round(value / 0.018658) + {114 if low else -14}, {low}, {high}), {dtype}"
    assert made.steps[-2:] == ("lay the values out as NHWC: [1, 224, 224, 3]", expected)


def test_a_scale_is_written_with_all_the_digits_of_float32():
    scale = float(np.float32(0.1) / 3)
    step = contract(TensorInfo("input", (1, 3), "int8", "NC", scale, 0)).steps[-1]
    written = re.search(r"value / (\S+)\)", step)[1]
    assert np.float32(written) == np.float32(scale)


@pytest.mark.parametrize(
    "feed",
    [
        Preprocess(resize=20, crop=(16, 12)),
        Preprocess(20, (16, 12), "bicubic", (0.4, 0.5, 0.6), (1.0,) * 3, "BGR"),
        Preprocess(20, (16, 12), mean=(0.0,) * 3, std=(1 / 255,) * 3),
        Preprocess(20, (16, 12), mean=(0.0,), std=(0.5,)),
    ],
    ids=["imagenet", "bgr", "raw", "grey"],
)
def test_whoever_follows_the_steps_feeds_the_same_numbers(tmp_path, feed):
    """A reader of the sentences, with no other knowledge of the preprocessing."""
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)).save(path)
    tensor = TensorInfo("input", (1, len(feed.mean), *feed.crop), "float32", "NCHW")
    values = follow(path, contract(tensor, feed).steps)
    assert np.abs(values - load_image(path, feed)).max() < 1e-5


def follow(path, steps):
    value = None
    for step in steps:
        numbers = [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", step)]
        if step.startswith("decode"):
            value = Image.open(path).convert("L" if "greyscale" in step else "RGB")
        elif step.startswith("resize"):
            short, long = int(numbers[0]), int(numbers[0] * max(value.size) / min(value.size))
            method = Image.Resampling.BICUBIC if "bicubic" in step else Image.Resampling.BILINEAR
            value = value.resize((short, long) if value.width <= value.height else (long, short), method)
        elif step.startswith("cut the centre"):
            height, width = map(int, numbers)
            top, left = round((value.height - height) / 2), round((value.width - width) / 2)
            value = np.asarray(value.crop((left, top, left + width, top + height))).reshape(height, width, -1)
        elif step.startswith("reverse"):
            value = value[..., ::-1]
        elif step.startswith("convert"):
            value = value.astype(np.float64) / (255 if "divide by 255" in step else 1)
        elif step.startswith("subtract"):
            value = value - np.array(numbers)
        elif step.startswith("divide"):
            value = value / np.array(numbers)
        else:
            assert step.startswith("lay the values out as NCHW")
            value = value.transpose(2, 0, 1)
    return value
