"""A slope per channel in operators that integer kernels have."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, op_types

from edgekit.passes.decompose_prelu import decompose_prelu


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1, 1, 1)])
def test_both_sides_of_zero_are_added(shape):
    g = Graph()
    slopes = g.constant(np.linspace(-0.5, 1.5, int(np.prod(shape))).reshape(shape))
    model = applied(decompose_prelu, g.model(g.op("PRelu", g.input(1, 4, 5, 5), slopes)))
    assert op_types(model) == ["Relu", "Clip", "Mul", "Add"]
