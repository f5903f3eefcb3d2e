"""Loading tensors into a module, and the table of what does not fit."""

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.source.weights import MAX_ROWS, load_weights, tensors_sha256


def net(classes=10):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, classes)).eval()


def refused(module, state, where="net.pth"):
    with pytest.raises(EdgekitError) as raised:
        load_weights(module, state, where)
    assert (raised.value.code, raised.value.where) == ("EK103", where)
    return raised.value


def changed(**changes):
    """The state of `net()`; keys with dots written as double underscores, None takes a tensor out."""
    state = dict(net().state_dict())
    for key, value in changes.items():
        state.pop(key.replace("__", "."), None)
        if value is not None:
            state[key.replace("__", ".")] = value
    return state


def test_every_tensor_is_copied():
    module, state = net(), {key: torch.full_like(value, 2) for key, value in net().state_dict().items()}
    load_weights(module, state, "net.pth")
    for key, value in module.state_dict().items():
        assert "num_batches" in key or torch.equal(value, torch.full_like(value, 2)), key


def test_the_order_of_the_file_does_not_matter():
    state = {key: torch.randn_like(value.float()) for key, value in reversed(net().state_dict().items())}
    module = net()
    load_weights(module, state, "net.pth")
    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"])


def test_half_precision_is_widened_to_the_modules_float32():
    module, state = net(), {key: value.half() for key, value in net().state_dict().items()}
    load_weights(module, state, "net.pth")
    assert module[0].weight.dtype == torch.float32
    assert torch.equal(module[0].weight, state["0.weight"].float())


@pytest.mark.parametrize("counter", [None, torch.tensor(7)])
def test_batch_norms_counter_may_be_missing(counter):
    load_weights(net(), changed(**{"1__num_batches_tracked": counter}), "net.pth")


def test_a_linear_layer_takes_the_same_numbers_from_a_1x1_convolution_and_back():
    state = changed(**{"2__weight": net()[2].weight.detach().reshape(10, 4, 1, 1)})
    module = net()
    load_weights(module, state, "net.pth")
    assert torch.equal(module[2].weight, net()[2].weight)


def test_the_table_lists_what_is_missing_unexpected_and_of_another_shape():
    error = refused(net(), changed(**{"0__bias": None, "extra": torch.ones(2, 3), "1__weight": torch.ones(5)}))
    assert error.what == "the checkpoint does not fit Sequential: 1 wrong shape, 1 missing, 1 unexpected"
    assert error.table.columns == ("key", "problem", "in the checkpoint", "in the model")
    assert error.table.rows == (
        ("1.weight", "wrong shape", "5", "4"),
        ("0.bias", "missing", "", "4"),
        ("extra", "unexpected", "2x3", ""),
    )


def test_a_long_table_is_cut_and_says_how_much():
    state = changed(**{f"1__surplus{i}": torch.ones(1) for i in range(MAX_ROWS + 3)})
    rows = refused(net(), state).table.rows
    assert len(rows) == MAX_ROWS + 1
    assert rows[-1][:2] == ("... and 3 more", "unexpected")


def test_another_class_count_is_named_with_the_option_that_mends_it():
    error = refused(net(classes=5), net(classes=10).state_dict())
    assert error.what == "the checkpoint has 10 classes, the model 5"
    assert error.fix == "add --num-classes 10"
    assert [row[0] for row in error.table.rows] == ["2.weight", "2.bias"]


def test_a_wrong_shape_elsewhere_is_not_taken_for_a_class_count():
    error = refused(net(), changed(**{"0__weight": torch.ones(8, 3, 3, 3)}))
    assert "classes" not in error.what
    assert "--num-classes" not in error.fix


def test_a_last_layer_that_takes_other_features_is_not_taken_for_a_class_count():
    error = refused(net(), changed(**{"2__weight": torch.ones(5, 6), "2__bias": torch.ones(5)}))
    assert "--num-classes" not in error.fix


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_checkpoint_is_named_by_its_keys(bad):
    error = refused(net(), changed(**{"0__bias": torch.full((4,), bad)}))
    assert "NaN or infinite" in error.what
    assert error.table.rows == (("0.bias",),)


def test_nothing_is_copied_from_a_checkpoint_that_does_not_fit():
    module, before = net(), tensors_sha256(net())
    refused(module, changed(**{"0__weight": torch.zeros(4, 3, 3, 3), "0__bias": None}))
    assert tensors_sha256(module) == before


def test_the_hash_of_tensors_sees_values_names_and_types():
    base = tensors_sha256(net())
    assert base == tensors_sha256(net())
    moved = net()
    moved[0].bias.data[0] += 1e-3
    renamed = nn.Sequential(*net(), nn.Identity())
    assert (
        len({base, tensors_sha256(moved), tensors_sha256(net().double()), tensors_sha256(nn.ModuleList([renamed]))})
        == 4
    )
