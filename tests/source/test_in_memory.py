"""A module of the calling program: what is exported of it, and that it stays as it is."""

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import edgekit
from edgekit.errors import EdgekitError
from edgekit.graph.runner import GraphRunner
from edgekit.recipe import make_recipe
from edgekit.source import resolve
from edgekit.source.in_memory import in_memory, snake_case
from edgekit.trace import trace


class TinyNet(nn.Module):
    """Everything that training changes: BatchNorm's statistics, dropout, gradients."""

    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 5)

    def forward(self, images):
        maps = F.relu(self.norm(self.conv(images)))
        return self.head(F.dropout(maps.mean((2, 3)), 0.5, self.training))


@pytest.fixture
def net():
    torch.manual_seed(0)
    made = TinyNet()
    made.norm.running_mean.uniform_()
    return made.train()


JIT_IS_OLD = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # files of it are around
IMAGE = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)


def source(module, name=None, **choices):
    given = in_memory(module, name)
    choices = {"input_size": 16, **choices}
    return resolve(make_recipe(model=given.class_name, targets=("t",), **choices), given=given)


def refused(code, module, **choices):
    with pytest.raises(EdgekitError) as raised:
        source(module, **choices)
    assert raised.value.code == code, raised.value
    return raised.value


def test_a_copy_is_ready_to_be_traced(net):
    found = source(net)
    assert (found.name, found.weights, found.input_shape) == ("tiny_net", "as built", (1, 3, 16, 16))
    assert found.module is not net
    assert not any(part.training for part in found.module.modules())
    assert [(output.name, output.shape, output.meaning) for output in found.outputs] == [("output", (1, 5), "scores")]


def test_the_callers_module_stays_as_it_is(net):
    net.half()
    net.conv.weight.grad = torch.ones_like(net.conv.weight)
    net.head.weight.requires_grad_(False)
    net.norm.eval()
    before = copy.deepcopy(net.state_dict())
    source(net)
    after = net.state_dict()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    assert [part.training for part in net.modules()] == [True, True, False, True]
    assert torch.equal(net.conv.weight.grad, torch.ones_like(net.conv.weight))
    assert [parameter.requires_grad for parameter in net.head.parameters()] == [False, True]


def test_training_goes_on_without_the_export(net):
    found = source(net)
    with torch.no_grad():
        net.conv.weight.zero_()
        net.norm.running_mean.zero_()
    assert found.module.conv.weight.abs().sum() > 0
    assert found.module.norm.running_mean.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(net, dtype):
    found = source(net.to(dtype))
    assert {tensor.dtype for tensor in found.module.parameters()} == {torch.float32}
    assert torch.equal(found.module.conv.weight, net.conv.weight.float())


def test_the_weights_are_known_by_their_values(net):
    first, again = source(net), source(copy.deepcopy(net))
    assert first.weights_sha256 == again.weights_sha256
    with torch.no_grad():
        net.head.bias[0] += 1
    assert source(net).weights_sha256 != first.weights_sha256


@pytest.mark.parametrize(
    ("name", "expected"),
    [("TinyNet", "tiny_net"), ("MobileNetV3", "mobile_net_v3"), ("VGG16", "vgg16"), ("SSDLite", "ssd_lite")],
)
def test_a_class_name_as_a_folders_name(name, expected):
    assert snake_case(name) == expected


def test_a_name_that_is_given_is_taken(net):
    assert source(net, "my net/2").name == "my-net-2"


def test_images_are_fed_as_the_caller_says(net):
    assert source(net, input_size=None).input_shape == (1, 3, 224, 224)
    said = {"resize": 20, "crop": (12, 16), "mean": (0.5,), "std": (0.5,)}
    grey = source(nn.Sequential(nn.Conv2d(1, 2, 3)), preprocess=said, input_size=None)
    assert (grey.input_shape, grey.preprocess.labels) == ((1, 1, 12, 16), None)


def test_a_checkpoint_goes_into_the_copy(net, tmp_path):
    torch.manual_seed(1)
    trained = TinyNet()
    torch.save(trained.state_dict(), tmp_path / "best.pth")
    found = source(net, weights=tmp_path / "best.pth")
    assert found.weights == "best.pth"
    assert torch.equal(found.module.head.weight, trained.head.weight)
    assert not torch.equal(net.head.weight, trained.head.weight)


def test_weights_that_are_no_file_are_told(net):
    assert refused("EK104", net, weights="imagenet").what == "a module in memory has no weights called 'imagenet'"


@pytest.mark.parametrize("option", [{"num_classes": 7}, {"model_args": {"width": 4}}])
def test_options_of_a_builder_are_refused(net, option):
    assert refused("EK106", net, **option).where == next(iter(option))


@JIT_IS_OLD
def test_parallel_and_compiled_modules_are_taken_out_of_their_wrapper(net):
    for wrapped in (nn.DataParallel(net), torch.compile(net), torch.compile(nn.DataParallel(net))):
        given = in_memory(wrapped)
        assert (given.module is net, given.name) == (True, "tiny_net")


@JIT_IS_OLD
@pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, IMAGE)])
def test_torchscript_is_traced_like_its_module(net, make):
    scripted = make(net.eval())
    found = source(scripted)
    assert found.name == "tiny_net"
    assert found.weights_sha256 == source(net).weights_sha256
    with torch.no_grad():
        expected = net(IMAGE).numpy()
    (actual,) = GraphRunner(trace(found.module, found.input_shape))(IMAGE.numpy()).values()
    assert actual == pytest.approx(expected, abs=1e-5)


def test_tensors_that_are_computed_from_others_are_copied_too(net):
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(net.head)
    net(IMAGE.repeat(2, 1, 1, 1))  # leaves a weight behind that deepcopy refuses
    found = source(net)
    net.eval()
    with torch.no_grad():
        assert torch.allclose(found.module(IMAGE), net(IMAGE))


def test_lazy_layers_get_their_shapes_in_the_copy_alone():
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
    assert source(lazy).module[0].weight.shape == (4, 3, 3, 3)
    assert nn.parameter.is_lazy(lazy[0].weight)


def test_a_module_without_values_is_never_silently_untrained():
    with torch.device("meta"):
        empty = TinyNet()
    assert refused("EK104", empty).where == "TinyNet"


def test_a_module_that_cannot_be_copied_is_told_what_to_do(net):
    net.lock = threading.Lock()
    error = refused("EK107", net)
    assert (error.where, "lock" in error.what) == ("TinyNet", True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning")
def test_a_module_that_pytorch_quantized_is_refused_before_anything_fails(net):
    quantized = torch.ao.quantization.quantize_dynamic(net.eval(), {nn.Linear})
    assert "head" in refused("EK204", quantized).what


def test_extra_state_is_part_of_the_weights_identity(net):
    class Noted(TinyNet):
        note = "a"

        def get_extra_state(self):
            return self.note

        def set_extra_state(self, state):
            self.note = state

    noted = Noted()
    before = source(noted).weights_sha256
    noted.note = "b"
    assert source(noted).weights_sha256 != before


def test_a_module_that_cannot_run_names_its_class(net):
    assert refused("EK203", net, input_size=2).where == "TinyNet"


@pytest.mark.parametrize(
    ("model", "fix"),
    [
        (TinyNet, "call it"),
        (nn.Linear(1, 1).state_dict(), "tensors are weights"),
        (torch.export.export(TinyNet().eval(), (IMAGE,)), "torch.export.save"),
        (trace(TinyNet().eval(), (1, 3, 16, 16)), "give the module"),
        (None, "give the module"),
    ],
    ids=["class", "weights", "exported program", "graph", "nothing"],
)
def test_what_is_no_module_is_told_how_to_be_given(model, fix):
    with pytest.raises(EdgekitError) as raised:
        edgekit.export(model, target="ort-fp32")
    assert (raised.value.code, raised.value.where) == ("EK106", "model")
    assert raised.value.fix.startswith(fix)


def test_a_module_in_memory_gives_the_bytes_of_its_python_file(tmp_path):
    file = tmp_path / "net.py"
    made = "nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))"
    file.write_text(f"from torch import nn\n\ndef make():\n    return {made}\n")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    options = {"target": ["ort-fp32", "tflite-fp32"], "input_size": 16, "seed": 0}
    ours = edgekit.export(net, name="make", out=tmp_path / "ours", **options)
    theirs = edgekit.export(f"{file}:make", out=tmp_path / "theirs", **options)
    for target in options["target"]:
        files = [edgekit.read_bundle(run.bundles[target]) for run in (ours, theirs)]
        assert files[0].manifest["weights"] == files[1].manifest["weights"]
        assert files[0].model_file.read_bytes() == files[1].model_file.read_bytes()
    assert files[0].manifest["recipe"]["model"] == "Sequential"
