"""Class folders, archives, tables and CIFAR's batches become the same list; what is wrong with them is said."""

import shutil
import zipfile

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.registry import Preprocess
from edgekit.train.layouts import open_pictures, own_half
from edgekit.train.pictures import check_classes, split_by_seed, with_classes
from edgekit.train.pixels import Keeping, decode

FEED = Preprocess(16, (16, 16), labels=None)


def refused(function, *arguments, **options):
    with pytest.raises(EdgekitError) as caught:
        function(*arguments, **options)
    return caught.value


@pytest.fixture
def archive(class_folders, tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for image in sorted(class_folders.rglob("*.png")):
            zipped.write(image, image.relative_to(class_folders).as_posix())
    return path


def table(class_folders, tmp_path, head="path,label\n", row="{path},{label}\n"):
    shutil.copytree(class_folders, tmp_path / "images", dirs_exist_ok=True)
    rows = [
        row.format(path=f"images/{p.parent.name}/{p.name}", label=p.parent.name)
        for p in sorted(class_folders.rglob("*.png"))
    ]
    path = tmp_path / "images.csv"
    path.write_text(head + "".join(rows))
    return path


def cifar(folder, train=12, test=6, label=lambda index: index % 10):
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", train), ("data_batch_2.bin", train), ("test_batch.bin", test)):
        rows = noise.integers(0, 256, (count, 3073), np.uint8)
        rows[:, 0] = [label(index) for index in range(count)]
        (folder / name).write_bytes(rows.tobytes())
    return folder


def test_folders_archives_and_tables_hold_the_same(class_folders, archive, tmp_path):
    kinds = [open_pictures(place) for place in (class_folders, archive, table(class_folders, tmp_path))]
    assert {kind.classes for kind in kinds} == {("dark", "light", "striped")}
    assert {kind.labels for kind in kinds} == {kinds[0].labels}
    first, *others = (decode(kind, FEED, Keeping()).pixels for kind in kinds)
    assert all(bool((first == other).all()) for other in others)


@pytest.mark.parametrize("head", ["", "label,ignored,image\n"])
def test_a_table_names_its_columns_or_has_path_and_label_first(class_folders, tmp_path, head):
    row = "{label},x,{path}\n" if head else "{path},{label}\n"
    pictures = open_pictures(table(class_folders, tmp_path, head, row))
    assert pictures.classes == ("dark", "light", "striped")
    assert len(pictures) == 20


def test_a_table_may_say_the_halves(class_folders, tmp_path):
    pictures = open_pictures(table(class_folders, tmp_path, "path,label,split\n", "{path},{label},valid\n"))
    assert set(pictures.split) == {"val"}


def test_two_halves_in_folders_are_found(class_folders, tmp_path):
    for half in ("train", "val"):
        shutil.copytree(class_folders, tmp_path / half)
    shutil.rmtree(tmp_path / "val" / "striped")
    assert own_half(tmp_path)
    assert not own_half(class_folders)
    learned, measured = open_pictures(tmp_path), open_pictures(tmp_path, measure=True)
    assert (len(learned), learned.classes, measured.classes) == (20, ("dark", "light", "striped"), ("dark", "light"))
    assert with_classes(measured, learned.classes, tmp_path).classes == learned.classes


def test_cifars_batches_are_read_as_they_are(tmp_path):
    folder = cifar(tmp_path / "cifar")
    (folder / "batches.meta.txt").write_text("".join(f"class{index}\n" for index in range(10)) + "\n")
    learned, measured = open_pictures(folder), open_pictures(folder, measure=True)
    assert (len(learned), len(measured), own_half(folder)) == (24, 6, True)
    assert learned.classes[3] == "class3"
    raw = np.frombuffer((folder / "data_batch_1.bin").read_bytes(), np.uint8).reshape(-1, 3073)
    assert learned.labels[:12] == tuple(raw[:, 0])
    pixels = decode(learned, Preprocess(32, (32, 32), labels=None), Keeping())
    assert bool((pixels.pixels[:12].numpy().reshape(12, -1) == raw[:, 1:]).all())


def test_cifars_damaged_batches_and_pickles_are_refused(tmp_path):
    folder = cifar(tmp_path / "cifar", label=lambda index: 10 if index == 3 else 0)
    wrong = refused(open_pictures, folder)
    assert (wrong.code, wrong.table.rows[0]) == ("EK109", ("data_batch_1.bin#3", "10"))
    (folder / "data_batch_1.bin").write_bytes(b"\0" * 4000)
    assert refused(open_pictures, folder).code == "EK108"
    python = tmp_path / "python"
    python.mkdir()
    (python / "batches.meta").touch()
    (python / "data_batch_1").touch()
    assert "binary version" in refused(open_pictures, python).fix


def test_an_empty_class_folder_is_named(class_folders, archive, tmp_path):
    shutil.copytree(class_folders, tmp_path / "copy")
    (tmp_path / "copy" / "grey").mkdir()
    (tmp_path / "copy" / "grey" / "notes.txt").touch()
    (tmp_path / "copy" / ".cache").mkdir()
    wrong = refused(open_pictures, tmp_path / "copy")
    assert (wrong.code, "grey" in wrong.what, "cache" in wrong.what) == ("EK109", True, False)
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.mkdir("grey")
    assert "grey" in refused(open_pictures, archive).what


def test_one_class_is_no_task(class_folders, tmp_path):
    shutil.copytree(class_folders / "dark", tmp_path / "images" / "dark")
    wrong = refused(check_classes, open_pictures(tmp_path / "images"))
    assert (wrong.code, "dark" in wrong.what) == ("EK109", True)


def test_images_without_class_folders_are_refused(class_folders, tmp_path):
    shutil.copy(next(class_folders.rglob("*.png")), tmp_path / "a.png")
    assert refused(open_pictures, tmp_path).code == "EK109"


@pytest.mark.parametrize("row", ["{path},7\n", "{path},-1\n", "{path},cat\n"])
def test_labels_out_of_range_are_told_by_row(class_folders, tmp_path, row):
    (tmp_path / "names.txt").write_text("dark\nlight\nstriped\n")
    wrong = refused(open_pictures, table(class_folders, tmp_path, row=row), tmp_path / "names.txt")
    assert wrong.code == "EK109"
    assert "20 labels are out of range" in wrong.what
    assert wrong.table.rows[0][0] == "1"


def test_numbers_are_lines_of_the_labels(class_folders, tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    pictures = open_pictures(table(class_folders, tmp_path, row="{path},2\n"), tmp_path / "names.txt")
    assert (pictures.classes, set(pictures.labels)) == (("a", "b", "c"), {2})
    assert "a, b" in refused(check_classes, pictures).what


@pytest.mark.parametrize("text", ["", "path,label\n", "only-a-path\n", "path,label\na.png\n"])
def test_a_table_without_rows_or_labels_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    assert refused(open_pictures, tmp_path / "t.csv").code == "EK109"


def test_other_classes_to_measure_on_are_told_side_by_side(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path / "other")
    (tmp_path / "other" / "dark").rename(tmp_path / "other" / "black")
    wrong = refused(with_classes, open_pictures(tmp_path / "other"), ("dark", "light", "striped"), class_folders)
    assert wrong.code == "EK109"
    assert wrong.table.rows == (("black", "there alone"), ("dark", "in the training images alone"))


def test_a_split_takes_its_share_of_each_class_by_seed(class_folders):
    pictures = open_pictures(class_folders)
    learned, measured = split_by_seed(pictures, 0.3, 1)
    assert set(learned.names).isdisjoint(measured.names)
    assert len(learned) + len(measured) == len(pictures)
    assert measured.counts().tolist() == [2, 2, 2]
    assert split_by_seed(pictures, 0.3, 1)[1] == measured
    assert split_by_seed(pictures, 0.3, 2)[1] != measured
    assert split_by_seed(pictures, 0.0, 1) == (pictures, None)


def test_the_fingerprint_is_of_names_labels_and_classes(class_folders):
    pictures = open_pictures(class_folders)
    assert pictures.fingerprint() == open_pictures(class_folders).fingerprint()
    assert pictures.only(range(19)).fingerprint() != pictures.fingerprint()
