"""GoogLeNet and Inception v3: auxiliary heads, the input that the weights want, and pools as the reference has them."""

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, entries, fill, golden_input
from torch import nn

from edgekit.models.googlenet import ConvNormRelu, googlenet
from edgekit.models.inception import AUXILIARY_MAP, AuxiliaryHead, inception_v3
from edgekit.registry import models
from edgekit.source.weights import load_weights
from edgekit.trace import trace

BUILDERS = {"googlenet": googlenet, "inception_v3": inception_v3}
HEADS = {"googlenet": ("aux1", "aux2"), "inception_v3": ("AuxLogits",)}


def on_meta(name, **options):
    with torch.device("meta"):
        return BUILDERS[name](**options)


def is_auxiliary(key, name):
    return key.split(".")[0] in HEADS[name]


@pytest.mark.parametrize("name", BUILDERS)
def test_without_auxiliary_heads_it_has_the_parameters_that_the_reference_has_without(name, facts):
    module = on_meta(name, aux_heads=False)
    assert sum(p.numel() for p in module.parameters()) == facts[f"torchvision/{name}"]["params_no_aux"]
    whole = entries(on_meta(name))
    assert entries(module) == [entry for entry in whole if not is_auxiliary(entry.key, name)]


@pytest.mark.parametrize("name", BUILDERS)
def test_auxiliary_heads_answer_in_training_only(name):
    module, images = on_meta(name, num_classes=7), torch.zeros(2, 3, 299, 299, device="meta")
    outputs = module.train()(images)
    assert [tuple(each.shape) for each in outputs] == [(2, 7)] * (1 + len(HEADS[name]))
    assert module.eval()(images).shape == (2, 7)
    assert on_meta(name, num_classes=7, aux_heads=False).train()(images).shape == (2, 7)


def test_inceptions_head_takes_the_map_of_other_input_sizes():
    head = AuxiliaryHead(5).eval()
    for size in ((3, 3), (12, 17), AUXILIARY_MAP):
        assert head(torch.zeros(1, 768, *size)).shape == (1, 5)


def test_inceptions_head_pools_every_third_pixel_at_the_reference_size():
    head = AuxiliaryHead(5).eval()
    x = torch.rand(1, 768, *AUXILIARY_MAP, generator=torch.Generator().manual_seed(0))
    pooled = nn.functional.avg_pool2d(x, 5, 3)
    assert torch.equal(head(x), head.fc(head.conv1(head.conv0(pooled)).flatten(1)))


@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_no_auxiliary_head_is_in_the_graph(name):
    graph = trace(BUILDERS[name](num_classes=7).eval(), (1, 3, 75, 75)).graph
    assert len(graph.outputs) == 1
    assert "fc.weight" in graph.initializers
    assert not [key for key in graph.initializers if is_auxiliary(key, name)]


@pytest.mark.parametrize("name", BUILDERS)
def test_a_checkpoint_with_heads_loads_into_a_network_without_and_the_other_way_round(name):
    torch.manual_seed(0)
    whole, bare = (BUILDERS[name](num_classes=3, aux_heads=heads) for heads in (True, False))
    state = whole.state_dict()
    load_weights(bare, state, "file")
    assert all(torch.equal(value, state[key]) for key, value in bare.state_dict().items())
    other = BUILDERS[name](num_classes=3)
    load_weights(other, bare.state_dict(), "file")
    assert torch.equal(other.fc.weight, whole.fc.weight)


def test_a_head_of_another_class_count_is_named_by_the_count():
    with pytest.raises(Exception, match="the checkpoint has 3 classes, the model 5") as refused:
        load_weights(googlenet(num_classes=5), googlenet(num_classes=3).state_dict(), "file")
    assert refused.value.fix == "add --num-classes 3"


@pytest.mark.parametrize("name", BUILDERS)
def test_the_preprocessing_is_imagenets_followed_by_the_references_transform(name):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    transformed = (pixels - mean) / std * (std / 0.5) + (mean - 0.5) / 0.5
    preprocess = models.get(name).find_weights("imagenet").preprocess
    ours = (pixels - torch.tensor(preprocess.mean)) / torch.tensor(preprocess.std)
    assert torch.allclose(ours, transformed, atol=1e-6)
    assert preprocess.crop == models.get(name).input_shape[1:]


def golden_deviation(name, change, golden):
    module = BUILDERS[name]()
    fill(module, entries(module))
    change(module)
    return deviation(module, golden[f"torchvision/{name}"])


def five_by_five(module):
    """The paper's third branch."""
    for part in module.modules():
        if hasattr(part, "branch3"):
            conv = part.branch3[1].conv
            part.branch3[1].conv = wider = nn.Conv2d(conv.in_channels, conv.out_channels, 5, 1, 2, bias=False)
            fill(wider, entries(wider))


def default_epsilon(module):
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1e-5


def rounding_down(module):
    for part in module.modules():
        if isinstance(part, nn.MaxPool2d):
            part.ceil_mode = False


@pytest.mark.parametrize("change", [five_by_five, default_epsilon])
def test_what_googlenet_might_be_mistaken_for_shows_in_the_golden_logits(change, golden):
    assert golden_deviation("googlenet", change, golden) > 10 * TOLERANCE


def test_googlenets_pools_round_up():
    module = googlenet(num_classes=3).eval()
    x = golden_input(96)
    up = module(x)
    rounding_down(module)
    assert module.maxpool1(module.conv1(x)).shape[-1] == 23  # 24 rounded up
    assert not torch.allclose(up, module(x))


def test_a_convolution_keeps_the_size_unless_it_is_not_padded():
    x = torch.zeros(1, 4, 9, 11)
    assert ConvNormRelu(4, 6, (1, 7))(x).shape == (1, 6, 9, 11)
    assert ConvNormRelu(4, 6, 3, stride=2, padded=False)(x).shape == (1, 6, 4, 5)
