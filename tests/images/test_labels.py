"""Files of class names, and label sets known by name."""

import pytest

from edgekit.errors import EdgekitError
from edgekit.images.labels import LABEL_SETS, Labels, label_names, read_labels


def written(tmp_path, content):
    path = tmp_path / "labels.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content", ["cat\ndog\n", "cat\ndog", "cat\r\ndog\r\n\n\n", "\ufeffcat\ndog\n", "  cat \ndog\t\n"]
)
def test_line_i_is_class_i(tmp_path, content):
    assert read_labels(written(tmp_path, content)) == Labels(("cat", "dog"))


def test_synset_lines_give_ids_and_names(tmp_path):
    text = "n01440764 tench, Tinca tinca\nn01443537 goldfish\nn01484850\n"
    labels = read_labels(written(tmp_path, text))
    assert labels.names == ("tench, Tinca tinca", "goldfish", "n01484850")
    assert labels.wordnet_ids == ("n01440764", "n01443537", "n01484850")


def test_one_line_without_an_id_makes_all_of_them_plain_names(tmp_path):
    assert read_labels(written(tmp_path, "n01440764 tench\nbackground\n")) == Labels(("n01440764 tench", "background"))


@pytest.mark.parametrize(("content", "line"), [("", 1), ("\n\n", 1), ("cat\n\ndog\n", 2), ("\ncat\n", 1)])
def test_an_empty_line_would_shift_every_class_behind_it(tmp_path, content, line):
    with pytest.raises(EdgekitError, match=f"line {line} is empty") as raised:
        read_labels(written(tmp_path, content))
    assert raised.value.code == "EK109"


def test_an_image_is_no_file_of_labels(tmp_path):
    with pytest.raises(EdgekitError) as raised:
        read_labels(written(tmp_path, b"\xff\xd8\xff\xe0" * 9))
    assert raised.value.code == "EK109"


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "no.txt", tmp_path):
        with pytest.raises(EdgekitError) as raised:
            read_labels(path)
        assert (raised.value.code, raised.value.where) == ("EK102", str(path))


def test_known_sets_are_complete_and_others_are_empty():
    assert label_names("cifar10") == LABEL_SETS["cifar10"]
    assert sorted(set(LABEL_SETS["cifar10"])) == list(LABEL_SETS["cifar10"])
    assert label_names("imagenet1k") == ()
    assert label_names(None) == ()


def test_the_thousand_names_of_imagenet_are_read(test_data):
    labels = read_labels(test_data / "images" / "imagenet_synset_words.txt")
    assert (len(labels.names), len(set(labels.wordnet_ids))) == (1000, 1000)
    assert labels.wordnet_ids[0] == "n01440764"
    assert labels.names[0].startswith("tench")
