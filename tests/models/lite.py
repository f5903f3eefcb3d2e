"""What EfficientNet-Lite's tensors must be, derived from those of EfficientNet: its authors changed three things.

No squeeze-excite; the stem keeps 32 and the head 1280 channels; the first and the last stage keep one block each.
Lite0 and Lite4 are measured, and show that the derivation holds.
"""

from math import ceil, prod
from pathlib import Path

from golden_vectors import Entry, read_keys

STAGE_STRIDES = (2, 1, 2, 2, 2, 1, 2, 1, 1)
"""Of `features.0` to `features.8`."""

STEM, HEAD = 32, 1280


def derived_entries(reference: Path, size: int) -> list[Entry]:
    """The tensors of Lite<size> in order, under the names that torchvision gives to those of B<size>."""
    keys = read_keys(reference, f"torchvision/efficientnet_b{size}")
    assert keys is not None
    kept = [entry for entry in keys if not _dropped(entry.key.split("."))]
    wide = {"stem": kept[0].shape[0], "head": kept[-2].shape[1]}
    return [Entry(entry.key, _fixed(entry, wide["stem"], wide["head"])) for entry in kept]


def derived_counts(reference: Path, size: int, pixels: int) -> tuple[int, int]:
    """(parameters, MACs) of Lite<size>."""
    entries = derived_entries(reference, size)
    params = sum(prod(shape) for key, shape in entries if key.endswith(("weight", "bias")))
    macs, sides = 0, [pixels]
    for stride in STAGE_STRIDES:
        sides.append(ceil(sides[-1] / stride))
    for key, shape in entries:
        if len(shape) == 2:
            macs += prod(shape)
        elif len(shape) == 4:
            stage = int(key.split(".")[1])
            macs += prod(shape) * (sides[stage] if _expands(key) else sides[stage + 1]) ** 2
    return params, macs


def _expands(key: str) -> bool:
    """Whether a convolution is the first 1x1 of its stage's first block, which runs before the stride."""
    _, stage, block, *rest = key.split(".")
    return block == "0" and rest[:3] == ["block", "0", "0"] and stage != "1"


def _dropped(path: list[str]) -> bool:
    if path[0] != "features":
        return False
    return path[-2] in ("fc1", "fc2") or (path[1] in ("1", "7") and path[2] != "0")


def _fixed(entry: Entry, stem: int, head: int) -> tuple[int, ...]:
    """The shape with the stem's and the head's channels as they are at B0."""
    path, shape = entry.key.split("."), list(entry.shape)
    if not shape:
        return ()
    if path[:2] == ["features", "0"] or path[:5] == ["features", "1", "0", "block", "0"]:
        assert shape[0] == stem
        shape[0] = STEM
    elif path[:6] == ["features", "1", "0", "block", "2", "0"]:
        assert shape[1] == stem
        shape[1] = STEM
    elif path[:2] == ["features", "8"]:
        assert shape[0] == head
        shape[0] = HEAD
    elif entry.key == "classifier.1.weight":
        assert shape[1] == head
        shape[1] = HEAD
    return tuple(shape)
