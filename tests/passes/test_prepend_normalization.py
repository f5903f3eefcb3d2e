"""A model that takes raw pixels."""

import numpy as np
import pytest
from pass_graphs import MODULE_KEY, Graph, assert_same, op_types, run, serialized

from edgekit.passes import prepend_normalization, simplify

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(**attributes):
    g = Graph()
    return g.model(g.op("Relu", g.conv(g.input(1, 3, 8, 8), 3, 4, 3, **attributes)))


def pixels_and_normalized():
    pixels = np.random.default_rng(5).integers(0, 256, (1, 3, 8, 8)).astype(np.float32)
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    return {"in0": pixels}, {"in0": (pixels / 255 - mean) / std}


def test_it_gives_for_pixels_what_the_model_gives_for_their_normalization():
    model = network()
    pixels, normalized = pixels_and_normalized()
    before = serialized(model)
    raw = prepend_normalization(model, MEAN, STD)
    assert_same(run(raw, pixels), run(model, normalized))
    assert serialized(model) == before
    assert all(MODULE_KEY in node.metadata_props for node in raw.graph)


@pytest.mark.parametrize(("pads", "left"), [([0] * 4, ["Conv", "Relu"]), ([1] * 4, ["Sub", "Conv", "Relu"])])
def test_simplify_folds_it_into_the_first_convolution(pads, left):
    model = network(pads=pads)
    pixels, normalized = pixels_and_normalized()
    raw = simplify(prepend_normalization(model, MEAN, STD))
    assert op_types(raw) == left
    assert_same(run(raw, pixels), run(model, normalized))


def test_every_reader_of_the_input_gets_normalized_pixels():
    g = Graph()
    x = g.input(1, 3, 8, 8)
    model = g.model(g.op("Relu", x), g.op("Neg", x), g.op("Add", x, x))
    pixels, normalized = pixels_and_normalized()
    assert_same(run(prepend_normalization(model, MEAN, STD), pixels), run(model, normalized))


@pytest.mark.parametrize(("mean", "std"), [(MEAN[:1], STD[:1]), (MEAN, STD[:1])])
def test_another_number_of_channels_is_refused(mean, std):
    with pytest.raises(ValueError, match="channels"):
        prepend_normalization(network(), mean, std)
