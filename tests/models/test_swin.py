"""Swin: windows, shifts and masks against their definition, three libraries' layouts, and what a graph is left with."""

from collections import Counter

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, fill, read_keys
from torch.nn import functional as F

from edgekit.models.swin import (
    MASKED,
    WINDOW,
    PatchMerging,
    WindowAttention,
    relative_positions,
    roll,
    shift_mask,
    swin_t,
)
from edgekit.passes import simplify
from edgekit.profile import count
from edgekit.source.weights import load_weights
from edgekit.trace import trace

TIMM = {"swin_t": "tiny", "swin_s": "small", "swin_b": "base"}
CPU = torch.device("cpu")


def test_a_roll_is_the_cyclic_shift():
    x = torch.arange(2 * 14 * 7 * 3.0).view(2, 14, 7, 3)
    for shifts in ((0, 0), (-3, -3), (3, 3), (-3, 0), (0, 5)):
        assert torch.equal(roll(x, shifts), torch.roll(x, shifts, (1, 2)))


def test_relative_positions_count_rows_first():
    index = relative_positions(WINDOW).view(WINDOW, WINDOW, WINDOW, WINDOW)
    assert index[0, 0, 0, 0] == 6 * 13 + 6
    assert index[0, 0, 6, 6] == 0
    assert index[6, 6, 0, 0] == 168
    assert index[3, 1, 2, 5] == (1 + 6) * 13 + (-4 + 6)


def test_the_mask_parts_tokens_that_were_not_neighbours():
    """Two tokens of a shifted window see each other if they lie within 7 of each other in the unshifted map too."""
    size, shift = 14, 3
    rows = torch.roll(torch.arange(size), -shift)
    mask = shift_mask(size, size, (shift, shift), CPU).view(2, 2, WINDOW, WINDOW, WINDOW, WINDOW)
    for top, left in ((0, 0), (1, 0), (1, 1)):
        y, x = rows[top * WINDOW :][:WINDOW], rows[left * WINDOW :][:WINDOW]
        apart = [(axis[:, None] - axis[None, :]).abs() >= WINDOW for axis in (y, x)]
        expected = apart[0][:, None, :, None] | apart[1][None, :, None, :]
        assert torch.equal(mask[top, left], MASKED * expected.float())


def attention_by_definition(module, x):
    """The same attention, one window and one head at a time, by the global indices of its tokens."""
    _, height, width, channels = x.shape
    heads, shift = module.heads, module.shift if height > WINDOW else 0
    query, key, value = module.qkv(x[0]).split(channels, -1)
    out = torch.zeros(height, width, channels)
    table = module.relative_position_bias_table.view(13, 13, heads)
    region = (
        [0 if i < height - WINDOW else 1 if i < height - shift else 2 for i in range(height)] if shift else [0] * height
    )
    for top in range(0, height, WINDOW):
        for left in range(0, width, WINDOW):
            cells = [(top + i, left + j) for i in range(WINDOW) for j in range(WINDOW)]
            places = [((i + shift) % height, (j + shift) % width) for i, j in cells]
            for head in range(heads):
                part = slice(32 * head, 32 * head + 32)
                q, k, v = (torch.stack([m[p][part] for p in places]) for m in (query, key, value))
                scores = q @ k.T / 32**0.5
                for a, (i, j) in enumerate(cells):
                    for b, (m, n) in enumerate(cells):
                        scores[a, b] += table[i - m + 6, j - n + 6, head]
                        if (region[i], region[j]) != (region[m], region[n]):
                            scores[a, b] += MASKED
                for place, row in zip(places, F.softmax(scores, -1) @ v, strict=True):
                    out[(*place, part)] = row
    return module.proj(out)[None]


@pytest.mark.parametrize(("size", "shift"), [(7, 3), (14, 0), (14, 3)])
def test_attention_is_its_definition(size, shift):
    torch.manual_seed(0)
    module = WindowAttention(64, 2, shift)
    x = torch.randn(1, size, size, 64)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), attention_by_definition(module, x), atol=1e-5, rtol=1e-4)


def test_merging_takes_the_rows_first():
    module = PatchMerging(1)
    module.norm, module.reduction = torch.nn.Identity(), torch.nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        module.reduction.weight.copy_(torch.tensor([[1.0, 10, 100, 1000], [0, 0, 0, 1]]))
        merged = module(torch.tensor([[1.0, 2], [3, 4]]).view(1, 2, 2, 1))
    assert merged.flatten().tolist() == [1 + 30 + 200 + 4000, 4]


@pytest.mark.parametrize("pixels", [32, 96, 224, 250])
def test_several_images_give_what_each_gives_alone_at_any_size(pixels):
    torch.manual_seed(0)
    module = swin_t(5).eval()
    x = torch.randn(2, 3, pixels, pixels + 20)
    with torch.inference_mode():
        both, alone = module(x), torch.cat([module(image[None]) for image in x])
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=1e-4)


def as_timm(state, microsoft=False):
    """Our tensors under the names of timm, or of Microsoft."""
    renamed = {}
    for key, value in state.items():
        first, *rest = key.split(".")
        if first == "features":
            place, rest = int(rest[0]), rest[1:]
            if place == 0:
                rest = ["patch_embed", "norm" if rest[0] == "2" else "proj", *rest[1:]]
            elif place % 2:
                rest = ["layers", str(place // 2), "blocks", *rest]
            else:
                rest = ["layers", str(place // 2 - microsoft), "downsample", *rest]
            name = ".".join(rest).replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")
        else:
            name = key if microsoft else key.replace("head.", "head.fc.")
        if microsoft and name.endswith("relative_position_index"):
            value = value.view(WINDOW**2, WINDOW**2)
        if microsoft or not name.endswith("relative_position_index"):
            renamed[name] = value
    if microsoft:
        renamed["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    return renamed


@pytest.mark.parametrize("microsoft", [False, True])
def test_files_of_timm_and_microsoft_load(microsoft):
    torch.manual_seed(0)
    source, target = swin_t(10).eval(), swin_t(10).eval()
    load_weights(target, as_timm(source.state_dict(), microsoft), "swin_tiny_patch4_window7_224.pth")
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", TIMM)
def test_the_names_are_those_of_timms_files(name, reference):
    keys = read_keys(reference, f"timm/swin_{TIMM[name]}_patch4_window7_224")
    ours = {entry.key: torch.empty(entry.shape, device="meta") for entry in read_keys(reference, f"torchvision/{name}")}
    assert {key: tuple(value.shape) for key, value in as_timm(ours).items()} == dict(keys)


def test_golden_logits_of_timm_are_given_by_its_names(golden, reference):
    """timm's vectors are other numbers: the hash is of timm's keys."""
    name, module = "timm/swin_tiny_patch4_window7_224", swin_t()
    source = {e.key: torch.empty(e.shape) for e in read_keys(reference, name)}
    holder = torch.nn.Module()
    for key, value in source.items():
        holder.register_buffer(key.replace(".", "/"), value)
    fill(holder, read_keys(reference, name))
    state = {key.replace("/", "."): value for key, value in holder.state_dict().items()}
    load_weights(module, state, "swin_tiny_patch4_window7_224.pth")
    assert deviation(module.eval(), golden[name]) < TOLERANCE


def test_windows_cost_in_proportion_to_the_image():
    with torch.device("meta"):
        module = swin_t()
    small, large = (count(module, (1, 3, side, side)).macs for side in (224, 448))
    assert large / small == pytest.approx(4, rel=0.02)


def test_a_graph_holds_no_shape_arithmetic_and_four_transposes_a_block():
    graph = simplify(trace(swin_t(10).eval(), (1, 3, 224, 224))).graph
    operators = Counter(node.op_type for node in graph)
    blocks, merges = 12, 3
    moving = [node for node in graph if node.op_type == "Transpose" and len(node.outputs[0].shape) > 4]
    assert len(moving) == 4 * blocks + merges
    assert operators["Add"] == blocks + 2 * blocks  # one bias, mask included, and two sums each
    assert operators["Gemm"] == 6 * blocks + merges + 1
    assert set(operators) <= {
        *("Add", "Concat", "Conv", "Gelu", "Gemm", "LayerNormalization", "MatMul", "ReduceMean"),
        *("Reshape", "Slice", "Softmax", "Transpose"),
    }


def test_stochastic_depth_drops_whole_images():
    torch.manual_seed(0)
    module = swin_t(4)
    blocks = [block for stage in module.features[1::2] for block in stage]
    assert [blocks[0].drop, blocks[-1].drop] == [0, pytest.approx(0.2)]
    block = blocks[-1].train()
    block.drop = 1 - 1e-9
    x = torch.randn(2, 7, 7, 768)
    assert torch.equal(block(x), x)
