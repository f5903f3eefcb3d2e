"""Golden images: drawn the same everywhere, and each the proof of one thing that apps get wrong."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.artifact import Artifact, Contract, ParityReport
from edgekit.bundle.files import read_bundle
from edgekit.bundle.golden_images import DRAWINGS, check_golden_images, make_golden_images
from edgekit.bundle.write import write_bundle
from edgekit.errors import EdgekitError
from edgekit.images.preprocess import load_image
from edgekit.registry import Preprocess
from edgekit.target import Emitted, TensorInfo

FEED = Preprocess(32, (28, 28))
INT8 = TensorInfo("x", (1, 28, 28, 3), "int8", "NHWC", 0.02, -14)
FLOAT = TensorInfo("x", (1, 3, 28, 28), "float32", "NCHW")


def means(images):
    return {"y": images.mean((2, 3))}


def made(tensor=INT8, feed=FEED):
    return {image.name: image for image in make_golden_images(feed, tensor, means)}


def opened(image):
    return Image.open(io.BytesIO(image.png))


def test_there_is_one_of_each_kind():
    images = made()
    assert {name: opened(image).mode for name, image in images.items()} == {
        "landscape": "RGB",
        "upscaled": "RGB",
        "transparent": "RGBA",
        "grey": "L",
    }
    assert all(side % 2 for image in images.values() for side in opened(image).size)
    assert max(opened(images["upscaled"]).size) < FEED.resize
    assert opened(images["grey"]).getexif()[0x0112] == 6


def test_pixels_that_are_quite_transparent_have_colours_of_their_own():
    pixels = np.asarray(opened(made()["transparent"]))
    assert pixels[pixels[..., 3] < 40][:, :3].max() > 200


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_has_edges_gradients_and_noise(name):
    pixels = np.asarray(opened(made()[name]).convert("RGB"))
    assert pixels.std() > 30
    assert len(np.unique(pixels)) > 100


def test_the_same_bytes_come_out_twice():
    assert [image.png for image in made().values()] == [image.png for image in made().values()]


def test_the_tensor_is_what_the_loader_gives_in_the_files_layout_and_dtype():
    for image in made(FLOAT).values():
        assert np.array_equal(image.stored[0], load_image(io.BytesIO(image.png), FEED))
        assert np.array_equal(image.outputs["y"], image.stored.mean((2, 3))[0])
    for image in made(INT8).values():
        real = load_image(io.BytesIO(image.png), FEED).transpose(1, 2, 0)
        assert (image.stored.dtype, image.stored.shape) == (np.int8, INT8.shape)
        assert np.array_equal(image.stored[0], np.clip(np.rint(real / np.float32(0.02)) - 14, -128, 127))


def test_a_file_that_takes_no_image_has_none():
    assert make_golden_images(FEED, replace(FLOAT, layout="other"), means) == ()


@pytest.fixture
def bundle(tmp_path):
    output = (TensorInfo("y", (1, 3), "float32", "NC"),)
    emitted = Emitted(b"file", (INT8,), output, {})
    vectors = np.zeros((1, 3, 28, 28), np.float32), *({"y": np.zeros((1, 3), np.float32)},) * 2
    artifact = Artifact(
        "tflite-int8",
        emitted,
        Contract((INT8,), output, FEED, ()),
        ParityReport((), 1, "noise"),
        *vectors,
        golden_images=tuple(made().values()),
    )
    scheme = {"weight": "int8", "activation": "int8"}
    named = {"model_file": "model.tflite", "model": "net", "target": "tflite-int8"}
    write_bundle(tmp_path / "b", artifact, {**named, "min_runtime": "", "scheme": scheme}, "")
    return tmp_path / "b"


def test_a_bundle_holds_them_and_gives_them_back(bundle):
    assert sorted(path.name for path in (bundle / "golden").iterdir()) == [
        "grey.png",
        "landscape.png",
        "tensors.npz",
        "transparent.png",
        "upscaled.png",
    ]
    found = read_bundle(bundle)
    assert (found.preprocess, found.input, found.output_tensors[0].name) == (FEED, INT8, "y")
    for image in found.golden_images:
        wanted = made()[image.name]
        assert image.png == wanted.png
        assert np.array_equal(image.stored, wanted.stored)
        assert np.array_equal(image.outputs["y"], wanted.outputs["y"])


def test_a_changed_picture_is_noticed_when_the_bundle_is_read(bundle):
    (bundle / "golden" / "grey.png").write_bytes(b"other")
    with pytest.raises(EdgekitError, match=r"golden/grey\.png was changed"):
        read_bundle(bundle)


def test_a_loader_that_resamples_otherwise_is_named(bundle):
    images = read_bundle(bundle).golden_images
    check_golden_images(images, FEED, INT8, "here")
    with pytest.raises(EdgekitError) as raised:
        check_golden_images(images, replace(FEED, interpolation="bicubic"), INT8, "here")
    assert raised.value.code == "EK502"
    assert raised.value.table.rows[0][0] == "grey.png"
