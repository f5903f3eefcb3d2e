"""Folders and archives of images."""

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import EdgekitError
from edgekit.images.folder import ImageFolder
from edgekit.registry import Preprocess

SMALL = Preprocess(resize=8, crop=(8, 8))
NAMES = ("cat/a.png", "cat/b.png", "dog/a.png", "dog/c.PNG", "emu/z.png")


def fill(folder, names, noise):
    """Write a small picture under each name; the i-th of the sorted names has seed i."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(9, 12, seed=seed)).save(path, "PNG")
    return folder


def zipped(folder, path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(folder / name, name)
    return path


def refused(call, code):
    with pytest.raises(EdgekitError) as raised:
        call()
    assert raised.value.code == code
    return raised.value


@pytest.fixture
def folder(tmp_path, noise):
    return fill(tmp_path / "images", NAMES, noise)


def test_class_folders_give_classes_and_labels_in_alphabetical_order(folder):
    images = ImageFolder.open(folder)
    assert images.names == NAMES
    assert images.classes == ("cat", "dog", "emu")
    assert images.labels() == (0, 0, 1, 1, 2)


def test_a_zip_is_the_same_as_its_folder_whatever_the_order_inside(folder, tmp_path):
    archive = ImageFolder.open(zipped(folder, tmp_path / "images.zip", NAMES[::-1]))
    images = ImageFolder.open(str(folder))
    assert (archive.names, archive.classes, archive.sha256()) == (images.names, images.classes, images.sha256())
    pairs = zip(archive.images(SMALL), images.images(SMALL), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_the_order_does_not_come_from_the_file_system(folder, tmp_path, noise):
    """Files made in another order, and listed in reverse by the directory."""
    other = tmp_path / "other"
    for seed, name in reversed(list(enumerate(NAMES))):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(9, 12, seed=seed)).save(other / name, "PNG")
    assert ImageFolder.open(other).names == NAMES
    assert ImageFolder.open(other).sha256() == ImageFolder.open(folder).sha256()


def test_the_hash_sees_names_and_bytes_but_not_the_place(folder, tmp_path, noise):
    base = ImageFolder.open(folder).sha256()
    renamed = fill(tmp_path / "renamed", (*NAMES[:-1], "emu/y.png"), noise)
    moved = fill(tmp_path / "moved", NAMES, noise)
    assert ImageFolder.open(moved).sha256() == base
    (moved / NAMES[0]).write_bytes((moved / NAMES[1]).read_bytes())
    assert len({base, ImageFolder.open(renamed).sha256(), ImageFolder.open(moved).sha256()}) == 3


def test_flat_files_have_no_classes_and_asking_for_labels_says_why(tmp_path, noise):
    images = ImageFolder.open(fill(tmp_path, ("b.png", "a.png"), noise))
    assert images.names == ("a.png", "b.png")
    assert images.classes == ()
    assert "--labels" in refused(images.labels, "EK109").fix


@pytest.mark.parametrize("names", [("a.png", "cat/b.png"), ("cat/a.png", "dog/x/b.png")])
def test_folders_of_mixed_depth_are_no_classes(tmp_path, noise, names):
    assert ImageFolder.open(fill(tmp_path, names, noise)).classes == ()


def test_classes_may_lie_under_one_more_folder(tmp_path, noise):
    images = ImageFolder.open(fill(tmp_path, ("val/cat/a.png", "val/dog/b.png"), noise))
    assert images.labels() == (0, 1)


def test_other_files_and_hidden_ones_are_left_out(folder):
    for name in ("cat/notes.txt", "cat/.hidden.png", ".cache/a.png", "__MACOSX/cat/a.png", "cat/noext"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert ImageFolder.open(folder).names == NAMES


def test_batches_hold_every_image_once_and_in_order(folder):
    images = ImageFolder.open(folder)
    batches = list(images.batches(SMALL, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert np.array_equal(np.concatenate(batches), np.stack(list(images.images(SMALL))))
    assert batches[0].shape[1:] == (3, 8, 8)


def test_an_iteration_may_be_given_up_half_way(folder):
    images = ImageFolder.open(folder).images(SMALL)
    assert next(images).shape == (3, 8, 8)
    images.close()


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, [0]), (2, [0, 2]), (3, [0, 1, 3]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_a_selection_is_spread_evenly_and_keeps_all_classes(folder, count, chosen):
    images = ImageFolder.open(folder).select(count)
    assert images.names == tuple(NAMES[i] for i in chosen)
    assert images.classes == ("cat", "dog", "emu")


def test_halves_are_disjoint_and_complete(folder):
    images = ImageFolder.open(folder)
    assert sorted(images[0::2].names + images[1::2].names) == list(NAMES)
    assert len(images[1::2]) == 2
    assert images[1::2].labels() == (0, 1)


@pytest.mark.parametrize("bad", [b"", b"not an image", None], ids=["empty", "text", "truncated"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_corrupt_image_is_named(folder, tmp_path, bad, packed):
    data = (folder / NAMES[2]).read_bytes()
    (folder / NAMES[2]).write_bytes(data[: len(data) // 2] if bad is None else bad)
    location = zipped(folder, tmp_path / "images.zip", NAMES) if packed else folder
    images = ImageFolder.open(location)
    error = refused(lambda: list(images.batches(SMALL, 2)), "EK108")
    assert f"cannot read image {NAMES[2]}: " in error.what
    assert error.where == str(location)


def test_images_before_a_corrupt_one_are_still_given(folder):
    (folder / NAMES[4]).write_bytes(b"x")
    images = ImageFolder.open(folder).images(SMALL)
    assert len([next(images) for _ in range(4)]) == 4
    refused(lambda: next(images), "EK108")


def test_a_corrupt_zip_entry_is_named(folder, tmp_path):
    path = zipped(folder, tmp_path / "images.zip", NAMES)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(NAMES[1]).header_offset
    data[start + 60] ^= 0xFF
    path.write_bytes(data)
    assert NAMES[1] in refused(lambda: list(ImageFolder.open(path).images(SMALL)), "EK108").what


def test_a_file_that_vanishes_is_named(folder):
    images = ImageFolder.open(folder)
    os.remove(folder / NAMES[0])
    assert NAMES[0] in refused(images.sha256, "EK108").what


def test_a_folder_without_images_lists_the_kinds_that_count(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    error = refused(lambda: ImageFolder.open(tmp_path), "EK108")
    assert ".jpg" in error.fix


def test_a_missing_folder_and_a_file_that_is_no_archive_are_told_apart(tmp_path):
    assert refused(lambda: ImageFolder.open(tmp_path / "no"), "EK102").what == "no such folder or archive"
    (tmp_path / "images.tar").write_bytes(b"x" * 100)
    assert "neither" in refused(lambda: ImageFolder.open(tmp_path / "images.tar"), "EK102").what


def test_real_photographs_of_every_kind_are_read(test_data):
    images = ImageFolder.open(test_data / "images" / "photos")
    batch = np.concatenate(list(images.batches(Preprocess(resize=32, crop=(32, 32)), 5)))
    assert batch.shape == (len(images), 3, 32, 32)
    assert (batch.std(axis=(1, 2, 3)) > 0.1).all()
