"""Decoded pictures: the size they are kept at, unreadable ones, and those that do not fit into memory."""

import shutil

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.images.preprocess import load_image
from edgekit.registry import Preprocess
from edgekit.train.layouts import open_pictures
from edgekit.train.pixels import Keeping, decode, statistics


def raw(side):
    return Preprocess(side, (side, side), mean=(0.0,) * 3, std=(1 / 255,) * 3, labels=None)


def test_pixels_are_those_of_an_export(class_folders):
    pictures = open_pictures(class_folders)
    pixels = decode(pictures, raw(16), Keeping())
    for kept, name in zip(pixels.pixels, pictures.names, strict=True):
        assert np.array_equal(kept.numpy(), load_image(class_folders / name, raw(16)))


def test_small_pictures_are_kept_at_their_own_size_but_to_measure_on(class_folders):
    pictures = open_pictures(class_folders)  # 20x24 pixels
    assert decode(pictures, raw(64), Keeping()).side == 20
    exact = decode(pictures, raw(64), Keeping(), exact=True)
    assert exact.side == 64
    assert np.array_equal(exact.pixels[3].numpy(), load_image(class_folders / pictures.names[3], raw(64)))


@pytest.fixture
def damaged(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path / "images")
    (tmp_path / "images" / "dark" / "00.png").write_bytes(b"no image")
    whole = (tmp_path / "images" / "light" / "01.png").read_bytes()
    (tmp_path / "images" / "light" / "01.png").write_bytes(whole[: len(whole) // 2])
    return open_pictures(tmp_path / "images")


def test_unreadable_pictures_are_left_out_and_named(damaged):
    pixels = decode(damaged, raw(16), Keeping(max_corrupt=0.2))
    assert len(pixels) == 18
    assert [name for name, _ in pixels.unreadable] == ["dark/00.png", "light/01.png"]
    assert pixels.unreadable[0][1] == "not an image"
    assert pixels.labels.bincount().tolist() == [6, 6, 6]


def test_too_many_unreadable_pictures_end_the_run(damaged):
    with pytest.raises(EdgekitError) as caught:
        decode(damaged, raw(16), Keeping(max_corrupt=0.05))
    assert caught.value.code == "EK108"
    assert "2 of 20" in caught.value.what
    assert caught.value.table.rows[0] == ("dark/00.png", "not an image")


def test_pictures_that_do_not_fit_into_memory_lie_in_a_file_without_a_name(class_folders, tmp_path):
    pictures = open_pictures(class_folders)
    kept = decode(pictures, raw(16), Keeping(memory_gb=0, folder=tmp_path / "run"))
    assert list((tmp_path / "run").iterdir()) == []
    assert bool((kept.pixels == decode(pictures, raw(16), Keeping()).pixels).all())


def test_grey_and_bgr_models_get_their_planes(class_folders):
    pictures = open_pictures(class_folders)
    grey = Preprocess(16, (16, 16), mean=(0.5,), std=(0.5,), labels=None)
    assert decode(pictures, grey, Keeping()).pixels.shape == (20, 1, 16, 16)
    bgr = Preprocess(16, (16, 16), channel_order="BGR", labels=None)
    assert bool((decode(pictures, bgr, Keeping()).pixels.flip(1) == decode(pictures, raw(16), Keeping()).pixels).all())


def test_progress_counts_every_picture(class_folders):
    heard = []
    decode(open_pictures(class_folders), raw(16), Keeping(), lambda done, total: heard.append((done, total)))
    assert heard[-1] == (20, 20)


def test_statistics_are_of_the_pixels(class_folders):
    pixels = decode(open_pictures(class_folders), raw(16), Keeping())
    mean, deviation = statistics(pixels)
    values = pixels.pixels.numpy().astype(np.float64) / 255
    assert mean == pytest.approx(values.mean((0, 2, 3)), abs=1e-4)
    assert deviation == pytest.approx(values.std((0, 2, 3)), abs=1e-4)
