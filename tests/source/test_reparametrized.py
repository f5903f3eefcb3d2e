"""Weights that training kept in parts: the tensor that the layer computes with comes of them."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from edgekit.errors import EdgekitError
from edgekit.source.checkpoint import of_state
from edgekit.source.weights import load_weights


def old_weight_norm(layer, **options):
    with pytest.warns(FutureWarning):
        return torch.nn.utils.weight_norm(layer, **options)


def pruned(layer):
    prune.l1_unstructured(layer, "weight", 0.5)
    prune.random_unstructured(layer, "bias", 0.5)


WAYS = {
    "weight norm": parametrizations.weight_norm,
    "weight norm over columns": lambda layer: parametrizations.weight_norm(layer, dim=1),
    "weight norm of the whole": lambda layer: parametrizations.weight_norm(layer, dim=None),
    "the older weight norm": old_weight_norm,
    "the older weight norm of the whole": lambda layer: old_weight_norm(layer, dim=None),
    "pruning": pruned,
}


def net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2)).eval()


@pytest.mark.parametrize("layer", [0, 2, 4])
@pytest.mark.parametrize("way", WAYS)
def test_the_model_without_it_computes_the_same(way, layer):
    trained, plain, x = net(1), net(2), torch.randn(2, 3, 8, 8)
    WAYS[way](trained[layer])
    if way != "pruning":
        with torch.no_grad():
            next(p for name, p in trained[layer].named_parameters() if name[-1] in "0g").mul_(1.7)
    notes = load_weights(plain, of_state(trained.state_dict(), "net.pth"), "net.pth")
    assert torch.allclose(plain(x), trained(x), atol=1e-5)
    assert any("multiplied out" in note for note in notes)


def test_a_model_that_has_the_parts_gets_them():
    trained, same = net(1), net(2)
    for model in (trained, same):
        parametrizations.weight_norm(model[0])
    assert load_weights(same, of_state(trained.state_dict(), "net.pth"), "net.pth") == ()
    assert torch.equal(same[0].weight, trained[0].weight)


def test_spectral_norm_does_not_say_its_axis_and_is_refused():
    trained = net(1)
    parametrizations.spectral_norm(trained[0])
    with pytest.raises(EdgekitError):
        load_weights(net(2), of_state(trained.state_dict(), "net.pth"), "net.pth")


@pytest.mark.parametrize("names", [("0.weight_v",), ("0.weight_g",), ("0.weight_orig",), ("0.weight_mask",)])
def test_one_part_alone_is_no_weight(names):
    state = {key: value for key, value in net(1).state_dict().items() if key != "0.weight"}
    given = state | {name: torch.ones(4, 3, 3, 3) for name in names}
    with pytest.raises(EdgekitError) as raised:
        load_weights(net(2), of_state(given, "net.pth"), "net.pth")
    assert raised.value.code == "EK103"
