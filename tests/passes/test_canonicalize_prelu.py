"""Equal slopes are one slope."""

import numpy as np
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, op_types

from edgekit.passes.canonicalize_prelu import canonicalize_prelu


def sloped(*slopes):
    g = Graph()
    return g.model(g.op("PRelu", g.input(1, 4, 5, 5), g.constant(np.reshape(slopes, (-1, 1, 1)))))


def test_one_slope_for_all_channels():
    model = applied(canonicalize_prelu, sloped(0.25))
    assert op_types(model) == ["LeakyRelu"]
    assert attributes_of(model.graph[0]) == {"alpha": 0.25}


def test_the_same_slope_in_every_channel():
    assert op_types(applied(canonicalize_prelu, sloped(0.5, 0.5, 0.5, 0.5))) == ["LeakyRelu"]


def test_different_slopes_stay():
    assert_left_alone(canonicalize_prelu, sloped(0.5, 0.5, 0.5, 0.25))
