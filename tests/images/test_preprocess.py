"""Preprocessing is torchvision's evaluation transform, number for number, and says in words what it does."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.images.preprocess import center_crop, load_image, resize, steps
from edgekit.registry import Preprocess

PLAIN = Preprocess(resize=8, crop=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    stream.seek(0)
    return stream


def by_torchvisions_steps(image, preprocess):
    """torchvision's ImageClassification preset in Pillow and torch: Resize, CenterCrop, ToTensor, Normalize."""
    width, height = image.size
    wanted = preprocess.resize
    size = (wanted, int(wanted * height / width)) if width <= height else (int(wanted * width / height), wanted)
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[preprocess.interpolation]
    image = image.convert("RGB").resize(size, method)
    top, left = (round((have - want) / 2.0) for have, want in zip(image.size[::-1], preprocess.crop, strict=True))
    image = image.crop((left, top, left + preprocess.crop[1], top + preprocess.crop[0]))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return pixels.sub(mean).div(std).numpy()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("name", ["cat.jpg", "grace_hopper.jpg", "parrot.jpg", "face.jpg"])
def test_a_photograph_is_fed_as_torchvision_feeds_it(test_data, name, interpolation):
    path, preprocess = test_data / "images" / "photos" / name, Preprocess(interpolation=interpolation)
    with Image.open(path) as image:
        expected = by_torchvisions_steps(image, preprocess)
    found = load_image(path, preprocess)
    assert (found.dtype, found.shape) == (np.float32, (3, 224, 224))
    assert np.abs(found - expected).max() < 1e-6
    assert found.std() > 0.1


def test_bgr_is_rgb_with_reversed_channels_and_its_own_order_of_means(noise):
    image = Image.fromarray(noise(20, 30))
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    rgb = load_image(encoded(image), Preprocess(16, (12, 14), mean=mean, std=std))
    bgr = load_image(encoded(image), Preprocess(16, (12, 14), mean=mean[::-1], std=std[::-1], channel_order="BGR"))
    assert np.array_equal(bgr, rgb[::-1])
    assert not np.array_equal(bgr, rgb)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((500, 370), (345, 256)), ((370, 500), (256, 345)), ((256, 300), (256, 300)), ((10, 10), (256, 256))],
)
def test_the_longer_side_is_truncated_to_whole_pixels(size, expected):
    assert resize(Image.new("RGB", size), Preprocess()).size == expected


@pytest.mark.parametrize(("have", "want", "first"), [(11, 8, 2), (9, 8, 0), (13, 8, 2), (10, 8, 1)])
def test_a_crop_starts_at_the_half_rounded_to_even(have, want, first):
    ramp = Image.fromarray(np.tile(np.arange(have, dtype=np.uint8), (want, 1)))
    assert np.array(center_crop(ramp, (want, want)))[0, 0] == first


@pytest.mark.parametrize(("have", "want", "black"), [(5, 8, 1), (4, 8, 2), (7, 8, 0)])
def test_a_smaller_image_is_padded_with_black(have, want, black):
    padded = np.array(center_crop(Image.new("L", (have, want), 255), (want, want)))[0]
    assert list(padded) == [0] * black + [255] * have + [0] * (want - have - black)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 24), st.integers(1, 24), st.integers(1, 24))
def test_any_image_gives_the_shape_that_was_asked_for(width, height, short, rows, columns):
    found = load_image(encoded(Image.new("RGB", (width, height), (9, 9, 9))), Preprocess(short, (rows, columns)))
    assert found.shape == (3, rows, columns)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("mode", ["L", "1", "RGBA", "LA", "CMYK", "P", "YCbCr"])
def test_every_mode_of_pillow_becomes_three_channels(noise, mode):
    image = Image.fromarray(noise(8, 8)).convert(mode)
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    stream = encoded(image, kind)
    with Image.open(stream) as decoded:
        expected = np.array(decoded.convert("RGB")).transpose(2, 0, 1)
    stream.seek(0)
    assert np.array_equal(np.rint(load_image(stream, PLAIN) * 255), expected)


def test_alpha_is_dropped_not_blended():
    image = Image.new("RGBA", (8, 8), (200, 100, 50, 0))
    assert np.allclose(load_image(encoded(image), PLAIN)[:, 0, 0] * 255, (200, 100, 50))


def test_a_palette_with_transparency_is_read_without_a_warning():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert np.allclose(load_image(encoded(image, transparency=0), PLAIN)[:, 0, 0] * 255, (10, 20, 30))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_grey_model_gets_one_channel_of_luma(noise, mode):
    image = Image.fromarray(noise(8, 8)).convert(mode)
    stream = encoded(image, "TIFF")
    found = load_image(stream, Preprocess(8, (8, 8), mean=(0.0,), std=(1.0,)))
    assert found.shape == (1, 8, 8)
    assert np.array_equal(np.rint(found[0] * 255), np.array(image.convert("L")))


def test_an_orientation_tag_is_left_alone_as_torchvisions_loader_does(noise):
    image, tags = Image.fromarray(noise(16, 16)), Image.Exif()
    tags[0x0112] = 6  # to be shown a quarter turn clockwise
    turned, upright = (load_image(encoded(image, exif=exif), PLAIN) for exif in (tags, Image.Exif()))
    assert np.array_equal(turned, upright)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused_instead_of_clipped(mode):
    deep = Image.new(mode, (8, 8), 40_000)
    with pytest.raises(ValueError, match="more than 8 bits"):
        load_image(encoded(deep, "TIFF"), PLAIN)


def test_folded_normalisation_feeds_the_decoded_integers_exactly(noise):
    image = Image.fromarray(noise(8, 8))
    raw = load_image(encoded(image), Preprocess(8, (8, 8), mean=(0.0,) * 3, std=(1 / 255,) * 3))
    assert np.array_equal(raw, np.array(image).transpose(2, 0, 1).astype(np.float32))


def test_the_steps_of_imagenet_read_like_a_recipe():
    assert steps(Preprocess()) == (
        "decode the image to 8-bit RGB, as stored: EXIF orientation is not applied",
        "resize the shorter side to 256 pixels, keeping the aspect ratio and truncating the longer side to whole pixels"
        " (bilinear, antialiased, half-pixel centres: Pillow's resampling)",
        "cut the centre 224 x 224 pixels (height x width), black where the image is smaller",
        "convert to float32 and divide by 255",
        "subtract 0.485, 0.456, 0.406 per channel (in RGB order)",
        "divide by 0.229, 0.224, 0.225 per channel (in RGB order)",
    )


def test_the_steps_say_what_is_different():
    said = steps(Preprocess(40, (32, 24), "bicubic", (0.4, 0.5, 0.6), (1.0, 1.0, 1.0), "BGR"))
    assert "bicubic" in said[1]
    assert "32 x 24" in said[2]
    assert said[3] == "reverse the channels from RGB to BGR"
    assert said[-1] == "subtract 0.4, 0.5, 0.6 per channel (in BGR order)"
    assert steps(Preprocess(mean=(0.0,), std=(0.5,)))[0].startswith("decode the image to 8-bit greyscale, ")
    assert steps(Preprocess(mean=(0.0,), std=(0.5,)))[-1] == "divide by 0.5 per channel"
    assert (
        steps(Preprocess(mean=(0.0,) * 3, std=(1 / 255,) * 3))[-1] == "convert to float32, keeping the values 0 to 255"
    )


def test_four_channels_are_colour_and_alpha_each_resized_on_its_own(noise):
    colours, alpha = noise(20, 30), noise(20, 30)[..., :1]
    whole = Image.fromarray(np.concatenate([colours, alpha], axis=2))
    four = Preprocess(16, (12, 14), mean=(0.5,) * 4, std=(0.5,) * 4)
    three = Preprocess(16, (12, 14), mean=(0.5,) * 3, std=(0.5,) * 3)
    found = load_image(encoded(whole), four)
    assert np.array_equal(found[:3], load_image(encoded(Image.fromarray(colours)), three))
    one = Preprocess(16, (12, 14), mean=(0.5,), std=(0.5,))
    assert np.array_equal(found[3:], load_image(encoded(Image.fromarray(alpha[..., 0])), one))
    assert "RGBA" in steps(four)[0]


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_an_image_without_as_many_planes_is_refused(noise, channels):
    preprocess = Preprocess(16, (12, 14), mean=(0.5,) * channels, std=(0.5,) * channels)
    with pytest.raises(ValueError, match=f"RGB pixels, where the model takes {channels} channels"):
        load_image(encoded(Image.fromarray(noise(20, 30))), preprocess)
