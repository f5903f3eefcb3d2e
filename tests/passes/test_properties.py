"""The two lists of passes on random small graphs: same outputs, and nothing left to do."""

import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pass_graphs import MODULE_KEY, assert_same, op_types, run, serialized
from random_graphs import random_graphs

from edgekit.passes import FOR_INTEGERS, SIMPLIFY, prepare_integer, simplify
from edgekit.passes.rewrite import shape_of

# Float rounding, as the pipeline's gate has it.
TOLERANCE = 1e-4

fixed = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)


@fixed
@given(random_graphs())
def test_simplify_keeps_the_outputs_and_is_idempotent(model):
    expected = run(model)
    canonical = simplify(model)
    assert_same(run(canonical), expected, TOLERANCE)
    assert_sound(canonical)
    assert serialized(simplify(canonical)) == serialized(canonical)


@fixed
@given(random_graphs())
def test_prepare_integer_keeps_the_outputs_and_is_idempotent(model):
    canonical = simplify(model)
    prepared = prepare_integer(canonical)
    assert_same(run(prepared), run(canonical), TOLERANCE)
    assert_sound(prepared)
    assert not {"HardSwish", "HardSigmoid"} & set(op_types(prepared))
    assert serialized(prepare_integer(prepared)) == serialized(prepared)


@fixed
@given(random_graphs(), st.randoms(use_true_random=False))
def test_the_passes_keep_the_outputs_in_any_order(model, random):
    expected, order = run(model), list({*SIMPLIFY, *FOR_INTEGERS})
    order.sort(key=lambda each: each.__name__)
    random.shuffle(order)
    for each in order:
        each(model)
    assert_same(run(model), expected, TOLERANCE)


def test_the_random_graphs_give_every_pass_something_to_do():
    met = set()

    @settings(fixed, max_examples=400)
    @given(random_graphs())
    def search(model):
        met.update(each.__name__ for each in SIMPLIFY if each(model))

    search()
    assert met == {each.__name__ for each in SIMPLIFY}


def assert_sound(model: ir.Model) -> None:
    """Valid, with right static shapes, unique names and a module on every node."""
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    names = [node.name for node in model.graph]
    assert len(set(names)) == len(names)
    for node in model.graph:
        assert MODULE_KEY in node.metadata_props
        assert all(shape_of(value) is not None and value.dtype is not None for value in node.outputs)
