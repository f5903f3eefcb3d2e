"""From a PyTorch module to a float ONNX graph."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.passes import simplify
from edgekit.trace import trace
from edgekit.trace.capture import capture
from edgekit.trace.outputs import named_tensors

SHAPE = (1, 3, 8, 8)


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.Hardswish()

    def forward(self, x):
        return x + self.act(self.norm(self.conv(x)))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Block(4), Block(4))
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def seeded(build, *arguments):
    """A module in eval mode, with BatchNorm statistics that are not 0 and 1."""
    torch.manual_seed(4)
    module = build(*arguments).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
    return module


@pytest.fixture(scope="module")
def network():
    return seeded(Network)


@pytest.fixture(scope="module")
def traced(network):
    return trace(network, SHAPE)


def outputs(model, image):
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": image.numpy()})


def assert_parity(module, model, shape=SHAPE):
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(image)
    expected = named_tensors(expected).values()
    for ours, theirs in zip(outputs(model, image), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)


def test_the_graph_gives_what_the_module_gives(network, traced):
    assert_parity(network, traced)


def test_it_is_a_valid_model_with_static_shapes(traced):
    onnx.checker.check_model(ir.to_proto(traced), full_check=True)
    values = [*traced.graph.inputs, *(value for node in traced.graph for value in node.outputs)]
    assert all(value.shape is not None and value.shape.is_static() for value in values)


def test_input_and_output_have_fixed_names_and_shapes(traced):
    [taken], [given] = traced.graph.inputs, traced.graph.outputs
    assert (taken.name, tuple(taken.shape), taken.dtype) == ("input", SHAPE, ir.DataType.FLOAT)
    assert (given.name, tuple(given.shape), given.dtype) == ("output", (1, 5), ir.DataType.FLOAT)


def test_every_node_keeps_the_path_of_its_module(traced):
    paths = {}
    for node in traced.graph:
        paths.setdefault(node.op_type, []).append(node.metadata_props["edgekit.module"])
    assert paths["Conv"] == ["stem", "blocks.0.conv", "blocks.1.conv"]
    assert paths["BatchNormalization"] == ["blocks.0.norm", "blocks.1.norm"]
    assert paths["HardSwish"] == ["blocks.0.act", "blocks.1.act"]
    assert paths["Add"] == ["blocks.0", "blocks.1"]
    assert paths["Gemm"] == ["head"]
    assert paths["ReduceMean"] == [""]


def test_nothing_else_of_the_machine_is_kept(traced):
    assert all(node.metadata_props.keys() == {"edgekit.module"} and not node.doc_string for node in traced.graph)
    assert not traced.metadata_props
    assert b".py" not in ir.to_proto(traced).SerializeToString()


def test_weights_keep_their_names_and_values(network, traced):
    for name in ("stem.weight", "blocks.1.norm.running_var", "head.bias"):
        stored = traced.graph.initializers[name].const_value.numpy()
        np.testing.assert_array_equal(stored, network.state_dict()[name].numpy())


def test_the_module_stays_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trace(network, SHAPE)
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Two(nn.Module):
    def forward(self, x):
        return x.relu(), x.mean((2, 3))


def test_several_outputs_are_numbered():
    model = trace(Two().eval(), SHAPE)
    assert [value.name for value in model.graph.outputs] == ["output", "output_1"]
    assert_parity(Two(), model)


class Handed(nn.Module):
    def forward(self, x):
        y = x.relu()
        return x, y, y


def test_an_input_handed_through_and_one_result_twice_are_outputs_of_their_own():
    model = trace(Handed().eval(), SHAPE)
    assert [value.name for value in model.graph.outputs] == ["output", "output_1", "output_2"]
    assert_parity(Handed(), model)


class Nested(nn.Module):
    """What neither the recorder nor torch.export takes as it is: an operator without a rule, a dataclass."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return Pair(torch.cumsum(self.head(x), 1), {"relu": x.relu(), "input": None, "means": [x.mean((2, 3))]})


@dataclass
class Pair:
    sums: torch.Tensor
    rest: dict[str, Any]


def test_names_are_those_of_keys_and_fields_also_where_the_exporter_takes_over():
    module = Nested().eval()
    model = trace(module, SHAPE)
    assert [value.name for value in model.graph.outputs] == ["sums", "rest_relu", "rest_means"]
    assert "head.weight" in model.graph.initializers
    assert {node.metadata_props["edgekit.module"] for node in model.graph if node.op_type == "Conv"} == {"head"}
    assert_parity(module, model)


class Named(nn.Module):
    """An output that is called like a value inside."""

    def __init__(self):
        super().__init__()
        self.relu = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        y = self.relu(x).relu()
        return {
            "conv2d": y + 1,
            "relu": y.mean((2, 3)),
            "relu.weight": y * 2,
            "": y * 3,
            "a b/c": y * 4,
            "input": y * 5,
        }


def test_an_output_may_be_called_like_a_value_or_a_constant_inside():
    module = Named().eval()
    model = trace(module, SHAPE)
    names = ["conv2d", "relu", "relu.weight", "output", "a_b_c", "input_1"]
    assert [value.name for value in model.graph.outputs] == names
    assert_parity(module, model)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        y = self.conv(x)
        before = y * 2
        y.view(-1).mul_(3)
        y += 1
        return torch.nn.functional.relu_(y) + before


def test_writing_in_place_means_the_same():
    module = seeded(InPlace)
    assert_parity(module, trace(module, SHAPE))


class Rare(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return torch.cumsum(self.conv(x).clamp(0, 6), dim=1)


def test_an_operator_without_a_rule_of_ours_is_traced_too():
    module = seeded(Rare)
    model = trace(module, SHAPE)
    assert_parity(module, model)
    assert {"edgekit.module"} == {key for node in model.graph for key in node.metadata_props}
    assert [node.metadata_props["edgekit.module"] for node in model.graph if node.op_type == "Conv"] == ["conv"]
    assert ([value.name for value in model.graph.inputs], model.graph.outputs[0].name) == (["input"], "output")


class Volumes(nn.Module):
    """A convolution in three dimensions without a bias, for which the exporter makes one that no runtime takes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 3, padding=1, bias=False)

    def forward(self, x):
        return self.conv(x.unsqueeze(1)).flatten(1, 2)


def test_a_convolution_in_three_dimensions_needs_no_bias():
    module = seeded(Volumes)
    assert_parity(module, trace(module, SHAPE))
    assert_parity(module, simplify(trace(module, SHAPE)))


@pytest.mark.parametrize("padding", [1, 3])
def test_a_transposed_convolution_may_add_as_many_rows_as_its_stride(padding):
    torch.manual_seed(0)
    module = nn.ConvTranspose2d(3, 2, 2, stride=1, padding=padding, dilation=2, output_padding=1).eval()
    assert_parity(module, trace(module, SHAPE))


def refusal(module, shape=SHAPE):
    with pytest.raises(EdgekitError) as refused:
        trace(module, shape)
    return refused.value


def test_a_size_that_the_module_cannot_take_is_ek203_and_names_the_layer():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Sequential(nn.ReLU(), nn.Linear(4 * 6 * 6, 2))).eval()
    assert trace(module, SHAPE).graph.outputs[0].shape == (1, 2)
    error = refusal(module, (1, 3, 9, 9))
    assert (error.code, error.where) == ("EK203", "2.1")
    assert "1x3x9x9" in error.what
    assert "--input-size" in error.fix


def test_a_wrong_number_of_channels_is_ek203():
    error = refusal(seeded(Network), (1, 1, 8, 8))
    assert (error.code, error.where) == ("EK203", "stem")


@pytest.mark.parametrize("shape", [(1, 3, -1, 32), (1, 3, 10**9, 10**9)])
def test_a_size_that_no_tensor_has_is_ek203(shape):
    error = refusal(nn.ReLU().eval(), shape)
    assert error.code == "EK203"
    assert "x".join(map(str, shape)) in error.what


class OddError(Exception):
    """Of no kind that torch raises."""


def test_a_module_that_raises_an_exception_of_its_own_is_ek203():
    class Refusing(nn.Module):
        def forward(self, x):
            raise OddError("sizes are multiples of 7 here")

    error = refusal(nn.Sequential(Refusing()).eval())
    assert (error.code, error.where) == ("EK203", "0")
    assert "multiples of 7" in error.what


class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1


class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = Branching()

    def forward(self, x):
        return self.gate(x.relu())


def test_control_flow_on_the_data_is_ek201_and_names_the_module():
    error = refusal(Around().eval())
    assert (error.code, error.where) == ("EK201", "gate")
    assert "\n" not in error.what
    assert error.__cause__ is not None


class Bessel(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


class AroundBessel(nn.Module):
    def __init__(self):
        super().__init__()
        self.wave = Bessel()

    def forward(self, x):
        return self.wave(x.relu())


def test_an_operator_without_an_onnx_form_is_named_with_its_module():
    error = refusal(AroundBessel().eval())
    assert (error.code, error.where) == ("EK201", "wave")
    assert error.what == "torch.onnx could not translate prims.bessel_j0: it has no ONNX form of it"


def test_training_mode_is_ek201():
    error = refusal(Network().train())
    assert (error.code, error.where) == ("EK201", "Network")
    assert ".eval()" in error.fix


def test_capture_gives_a_program_that_runs(network):
    program = capture(network, SHAPE)
    image = torch.ones(SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(image), network(image))


def test_a_program_that_was_exported_before_is_taken_as_it_is(network):
    program = capture(network, SHAPE)
    holder = nn.Module()
    holder.exported_program = program
    assert capture(holder, SHAPE) is program
    assert_parity(network, trace(holder, SHAPE))
