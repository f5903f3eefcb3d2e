"""Layout as a permutation: its arithmetic, and random chains of operators against ONNX Runtime."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_conformance.execute import distances, emit_proto, run_emitted, stored_inputs
from tflite_conformance.net import Net

from edgekit.targets.tflite.layout import (
    Perm,
    Shape,
    between,
    channels_last,
    identity,
    reduce_perm,
    regrouped_perm,
    reshape_perm,
    same_order,
    stored_axis,
    stored_shape,
    transpose_perm,
)

NHWC = channels_last(4)


def lay(values: np.ndarray, perm: Perm) -> np.ndarray:
    """The bytes of a tensor stored as `perm`, in order."""
    return np.ascontiguousarray(values.transpose(perm)).reshape(-1)


def numbered(shape: Shape) -> np.ndarray:
    return np.arange(int(np.prod(shape))).reshape(shape)


def test_channels_last_moves_the_channels_of_images_only() -> None:
    assert [channels_last(rank) for rank in (1, 2, 3, 4, 5)] == [
        (0,),
        (0, 1),
        (0, 2, 1),
        (0, 2, 3, 1),
        (0, 2, 3, 4, 1),
    ]


def test_a_stored_axis_is_found_from_either_end() -> None:
    assert stored_shape((1, 8, 4, 6), NHWC) == (1, 4, 6, 8)
    assert [stored_axis(NHWC, axis) for axis in (0, 1, 2, 3)] == [0, 3, 1, 2]
    assert stored_axis(NHWC, -3) == 3


def test_axes_of_size_one_may_stand_anywhere() -> None:
    assert same_order((1, 8, 1, 1), NHWC, identity(4))
    assert same_order((1, 1, 4, 6), NHWC, identity(4))
    assert not same_order((1, 8, 4, 1), NHWC, identity(4))


@pytest.mark.parametrize("source", list(permutations(range(3))))
@pytest.mark.parametrize("wanted", list(permutations(range(3))))
def test_between_is_the_transpose_from_one_layout_to_another(source: Perm, wanted: Perm) -> None:
    values = numbered((2, 3, 4))
    stored = values.transpose(source)
    assert np.array_equal(stored.transpose(between(source, wanted)), values.transpose(wanted))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_transpose_leaves_the_bytes_where_they_are(order: Perm) -> None:
    values = numbered((2, 3, 4, 5))
    assert np.array_equal(lay(values, NHWC), lay(values.transpose(order), transpose_perm(NHWC, order)))


def test_a_dropped_axis_leaves_the_others_in_their_order() -> None:
    assert reduce_perm(NHWC, {2, 3}) == (0, 1)
    assert reduce_perm(NHWC, {0}) == (1, 2, 0)
    assert reduce_perm(NHWC, {1}) == (0, 1, 2)


@pytest.mark.parametrize(
    ("shape", "perm", "new_shape", "expected"),
    [
        ((1, 8, 4, 6), NHWC, (1, 2, 4, 4, 6), (0, 3, 4, 1, 2)),
        ((1, 8, 1, 1), NHWC, (1, 8), (0, 1)),
        ((1, 8, 4, 6), NHWC, (1, 8, 24), (0, 2, 1)),
        ((1, 8, 4, 6), NHWC, (1, 192), None),
        ((1, 8, 4, 6), NHWC, (1, 32, 6), None),
        ((1, 8, 4, 6), identity(4), (1, 32, 6), (0, 1, 2)),
        ((2, 3), identity(2), (2, 3, 1, 1), (0, 1, 2, 3)),
    ],
    ids=["channel shuffle", "pixel", "tokens", "flatten", "channels and rows", "in ONNX order", "units appended"],
)
def test_a_reshape_keeps_the_bytes_where_its_groups_lie_side_by_side(
    shape: Shape, perm: Perm, new_shape: Shape, expected: Perm | None
) -> None:
    assert reshape_perm(shape, perm, new_shape) == expected


def test_the_end_of_a_channel_shuffle_exchanges_the_last_two_axes_only() -> None:
    assert regrouped_perm((1, 4, 2, 5, 6), (0, 3, 4, 2, 1), (1, 8, 5, 6)) == (0, 3, 4, 1, 2)
    assert regrouped_perm((1, 4, 2, 5, 6), identity(5), (1, 8, 5, 6)) is None
    assert regrouped_perm((1, 4, 2, 5, 6), (0, 3, 4, 2, 1), (1, 240)) is None


sizes = st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_a_reshape_stays_exactly_where_some_layout_has_the_same_bytes(data: st.DataObject) -> None:
    shape = tuple(data.draw(sizes))
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    new_shape = data.draw(reshapes(shape))
    stored, reshaped = lay(numbered(shape), perm), numbered(shape).reshape(new_shape)
    possible = [p for p in permutations(range(len(new_shape))) if np.array_equal(stored, lay(reshaped, p))]
    found = reshape_perm(shape, perm, new_shape)
    assert found in possible if possible else found is None


def reshapes(shape: Shape) -> st.SearchStrategy[Shape]:
    """Shapes of as many elements: neighbours merged, an axis split in two, a unit axis inserted or dropped."""
    options = [shape, (*shape, 1), (1, *shape)]
    options += [(*shape[:i], shape[i] * shape[i + 1], *shape[i + 2 :]) for i in range(len(shape) - 1)]
    options += [(*shape[:i], 2, size // 2, *shape[i + 1 :]) for i, size in enumerate(shape) if size % 2 == 0]
    options += [(*shape[:i], *shape[i + 1 :]) for i, size in enumerate(shape) if size == 1 and len(shape) > 1]
    return st.sampled_from([option for option in options if len(option) <= 5])


class Chain:
    """A growing chain of random operators; `step` appends one that the current shape allows."""

    def __init__(self, data: st.DataObject) -> None:
        self.data, self.net = data, Net()
        self.shape: Shape = tuple(
            data.draw(st.sampled_from([(1, 4, 4, 6), (1, 4, 3, 1), (1, 1, 4, 2), (2, 6), (1, 4, 6)]))
        )
        self.value = self.net.input(*self.shape)

    def step(self) -> None:
        steps = [self.transpose, self.reshape, self.relu, self.add, self.concat, self.slice, self.bias, self.softmax]
        if len(self.shape) == 4:
            steps += [self.conv, self.conv, self.pool]
        self.data.draw(st.sampled_from(steps))()

    def apply(self, op: str, *inputs: str, shape: Shape | None = None, **attributes: object) -> None:
        self.value = self.net.op(op, self.value, *inputs, **attributes)
        self.shape = self.shape if shape is None else shape

    def axis(self) -> int:
        return self.data.draw(st.integers(0, len(self.shape) - 1))

    def transpose(self) -> None:
        order = tuple(self.data.draw(st.permutations(range(len(self.shape)))))
        self.apply("Transpose", perm=order, shape=stored_shape(self.shape, order))

    def reshape(self) -> None:
        shape = self.data.draw(reshapes(self.shape))
        self.apply("Reshape", self.net.integers(*shape), shape=shape)

    def relu(self) -> None:
        self.apply("Relu")

    def softmax(self) -> None:
        self.apply("Softmax", axis=self.axis())

    def add(self) -> None:
        """A second branch: the same bytes the other way round, transposed back."""
        order = tuple(reversed(range(len(self.shape))))
        there = self.net.op("Transpose", self.value, perm=order)
        back = self.net.op("Transpose", self.net.op("Relu", there), perm=order)
        self.apply("Add", back)

    def bias(self) -> None:
        self.apply("Mul", self.net.constant(self.net.random.uniform(0.5, 1.5, self.shape[self.axis() :])))

    def concat(self) -> None:
        axis = self.axis()
        shape = tuple(size * 2 if i == axis else size for i, size in enumerate(self.shape))
        self.apply("Concat", self.net.op("Relu", self.value), axis=axis, shape=shape)

    def slice(self) -> None:
        axis = self.axis()
        start = self.data.draw(st.integers(0, self.shape[axis] - 1))
        shape = tuple(size - start if i == axis else size for i, size in enumerate(self.shape))
        ends = self.net.integers(self.shape[axis])
        self.apply("Slice", self.net.integers(start), ends, self.net.integers(axis), shape=shape)

    def conv(self) -> None:
        channels = self.data.draw(st.sampled_from([2, 4]))
        self.value = self.net.conv(self.value, self.shape[1], channels)
        self.shape = (self.shape[0], channels, *self.shape[2:])

    def pool(self) -> None:
        self.apply("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_a_random_chain_computes_what_onnx_runtime_computes(data: st.DataObject) -> None:
    chain = Chain(data)
    for _ in range(data.draw(st.integers(2, 7))):
        if np.prod(chain.shape) < 1000:
            chain.step()
    model = chain.net.model(chain.value)
    emitted = emit_proto(model, "tflite-fp32")
    outputs = run_emitted(emitted, stored_inputs(emitted, chain.net.feeds))
    for name, distance in distances(emitted, outputs, model, chain.net.feeds):
        assert distance < 2e-5, f"{name} is {distance:.3g} off: {emitted.operators}"
