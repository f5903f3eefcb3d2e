"""`edgekit eval`: which image is which class, and what a model makes of it."""

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.registry import Preprocess
from edgekit.verify.evaluate import Selection, evaluate, evaluate_model, labelled_images

FEED = Preprocess(resize=4, crop=(4, 4), mean=(0.0,) * 3, std=(1.0,) * 3)
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
NAMES = ("red", "green", "blue")
"""The model's order: class i has channel i as its largest."""


def by_colour(batch):
    """f32[n, 3, H, W] -> f32[n, 3]: the mean of each channel, so class 0 is red, 1 green, 2 blue."""
    return batch.mean((2, 3))


def fill(folder, names):
    """A picture per name; its colour is the one in the name."""
    for name in names:
        colour = next(value for key, value in COLOURS.items() if key in name)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 4), colour).save(folder / name)
    return folder


def refused(call, code):
    with pytest.raises(EdgekitError) as raised:
        call()
    assert raised.value.code == code, raised.value
    return raised.value


@pytest.fixture
def folders(tmp_path):
    return fill(tmp_path / "data", [f"{colour}/{i}.png" for colour in COLOURS for i in range(4)])


@pytest.fixture
def labels(tmp_path):
    def write(*lines):
        (tmp_path / "labels.txt").write_text("\n".join(lines))
        return tmp_path / "labels.txt"

    return write


def test_class_folders_go_by_the_models_own_names(folders):
    found = evaluate(by_colour, FEED, NAMES, Selection(folders))
    assert (found.images, found.top1.percent) == (12, 100.0)


def test_class_folders_without_known_names_go_by_the_alphabet(folders):
    assert evaluate(by_colour, FEED, (), Selection(folders)).top1.percent == pytest.approx(100 / 3)
    assert evaluate(lambda batch: by_colour(batch)[:, ::-1], FEED, (), Selection(folders)).top1.percent == 100.0


def test_a_labels_file_goes_before_the_models_names(folders, labels):
    file = labels("blue", "green", "red")
    found = evaluate(lambda batch: by_colour(batch)[:, ::-1], FEED, NAMES, Selection(folders, file))
    assert found.top1.percent == 100.0


def test_a_folder_that_the_labels_file_does_not_name_is_refused(folders, labels):
    error = refused(lambda: labelled_images(Selection(folders, labels("red", "green")), ()), "EK109")
    assert error.what == "class folder 'blue' is not among the 2 class names"


def test_folders_named_by_wordnet_ids_are_found(tmp_path, labels):
    data = fill(tmp_path / "data", ["n00000003/red.png", "n00000001/green.png"])
    file = labels("n00000001 green", "n00000002 nothing", "n00000003 red")
    assert list(labelled_images(Selection(data, file), ())[1]) == [0, 2]


def test_flat_files_go_by_the_wordnet_ids_in_their_names(tmp_path, labels):
    data = fill(tmp_path / "data", ["n00000002_red.png", "n00000001_green.png", "n00000002_blue.png"])
    file = labels("n00000001 green", "n00000002 other")
    folder, classes = labelled_images(Selection(data, file), ())
    assert dict(zip(folder.names, classes, strict=True)) == {
        "n00000001_green.png": 0,
        "n00000002_blue.png": 1,
        "n00000002_red.png": 1,
    }


def test_flat_files_go_one_to_a_line_in_sorted_order(tmp_path, labels):
    data = fill(tmp_path / "data", ["b_red.png", "a_green.png"])
    assert list(labelled_images(Selection(data, labels("first", "second")), ())[1]) == [0, 1]
    error = refused(lambda: labelled_images(Selection(data, labels("a", "b", "c")), ()), "EK109")
    assert error.what == "2 images cannot be matched with 3 labels"


def test_flat_files_need_a_labels_file(tmp_path):
    data = fill(tmp_path / "data", ["red.png", "green.png"])
    assert "--labels" in refused(lambda: labelled_images(Selection(data), NAMES), "EK109").fix


def test_the_halves_are_disjoint_and_keep_the_right_classes(folders):
    halves = [labelled_images(Selection(folders, subset=subset), NAMES) for subset in ("even", "odd")]
    names = [name for folder, _ in halves for name in folder.names]
    assert len(names) == len(set(names)) == 12
    for folder, classes in halves:
        assert [NAMES[i] for i in classes] == [name.split("/")[0] for name in folder.names]


def test_a_limit_is_spread_over_the_classes(folders):
    folder, classes = labelled_images(Selection(folders, limit=3), NAMES)
    assert [name.split("/")[0] for name in folder.names] == ["blue", "green", "red"]
    assert list(classes) == [2, 1, 0]
    assert len(labelled_images(Selection(folders, limit=3, subset="odd"), NAMES)[0]) == 3


def test_a_half_without_images_is_refused(tmp_path, labels):
    data = fill(tmp_path / "data", ["red.png"])
    selection = Selection(data, labels("red"), subset="odd")
    assert refused(lambda: evaluate(by_colour, FEED, (), selection), "EK108").where == str(data)


def test_every_image_is_judged_by_its_own_label_across_batches(tmp_path):
    """More images than one batch holds, in an order that mixes classes."""
    colours = list(COLOURS)
    data = fill(tmp_path / "data", [f"{colours[i % 3]}/{i:02}.png" for i in range(40)])
    found = evaluate(by_colour, FEED, NAMES, Selection(data))
    assert (found.images, found.top1.percent, found.top5.percent) == (40, 100.0, 100.0)


def test_a_class_that_the_model_does_not_have_is_refused(folders):
    error = refused(lambda: evaluate(lambda b: by_colour(b)[:, :2], FEED, NAMES, Selection(folders)), "EK109")
    assert error.what == "the images have class 2, the model only 2 classes"


def test_images_are_fed_as_the_preprocessing_says(folders):
    seen = []

    def record(batch):
        seen.append(batch)
        return by_colour(batch)

    evaluate(record, Preprocess(8, (6, 4), mean=(0.5,) * 3, std=(0.5,) * 3), NAMES, Selection(folders, limit=1))
    assert seen[0].shape == (1, 3, 6, 4)
    assert np.allclose(seen[0][0, :, 0, 0], (-1, -1, 1)), "blue is the first folder"


def test_a_corrupt_image_is_named(folders):
    (folders / "green" / "2.png").write_bytes(b"x")
    assert "green/2.png" in refused(lambda: evaluate(by_colour, FEED, NAMES, Selection(folders)), "EK108").what


def test_a_real_model_has_the_accuracy_that_it_is_known_for(test_data):
    weights = test_data / "weights" / "resnet20-12fca82f.th"
    recipe = make_recipe(model="resnet20_cifar", targets=("ort-fp32",), weights=str(weights))
    found = evaluate_model(recipe, Selection(test_data / "images" / "cifar10" / "test.zip", limit=200))
    assert found.images == 200
    assert 73 < found.top1.percent < 90, "81.0 on all 10,000"


def test_a_graph_is_evaluated_as_it_is(tmp_path, folders):
    onnx = pytest.importorskip("onnx")
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,4,4] x) => (float[1,3,1,1] y) {y = GlobalAveragePool(x)}'
    )
    onnx.save(model, tmp_path / "colour.onnx")
    recipe = make_recipe(model=str(tmp_path / "colour.onnx"), targets=("ort-fp32",))
    file = tmp_path / "names.txt"
    file.write_text("\n".join(NAMES))
    assert evaluate_model(recipe, Selection(folders, file)).top1.percent == 100.0
