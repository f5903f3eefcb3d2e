"""Swin Transformers as timm and as Microsoft store them, under torchvision's names."""

import re

from torch import Tensor

OWN_KEY = "patch_embed.proj.weight"
"""Only these two layouts have it."""

MICROSOFT_KEY = "layers.0.downsample.reduction.weight"
"""Microsoft counts the merging of patches to the stage before it, timm to the stage behind it."""

COMPUTED = ("relative_position_index", "attn_mask")
"""Buffers that follow from the window and the image: some files have them, and the module knows its own."""

RENAMED = (
    (re.compile(r"^patch_embed\.proj\."), "features.0.0."),
    (re.compile(r"^patch_embed\.norm\."), "features.0.2."),
    (re.compile(r"\.mlp\.fc1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.fc2\."), ".mlp.3."),
    (re.compile(r"^head\.fc\."), "head."),
)
STAGE = re.compile(r"^layers\.(\d+)\.(blocks|downsample)\.")


def rename_swin(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """`given` under torchvision's names where it is a Swin of timm or Microsoft; other layouts as they came.

    Args:
        wanted: the module's state, whose computed buffers are kept.
    """
    if OWN_KEY not in given or OWN_KEY in wanted:
        return given
    merged_before = MICROSOFT_KEY in given
    kept = {key: value for key, value in wanted.items() if key.endswith(COMPUTED)}
    return kept | {_renamed(key, merged_before): value for key, value in given.items() if not key.endswith(COMPUTED)}


def _renamed(key: str, merged_before: bool) -> str:
    """torchvision's `features`: 0 the patches, 1, 3, 5, 7 the stages, 2, 4, 6 the merging in front of a stage."""
    if stage := STAGE.match(key):
        number, is_stage = int(stage[1]), stage[2] == "blocks"
        place = 2 * number + (1 if is_stage else 2 if merged_before else 0)
        key = f"features.{place}.{key[stage.end() :]}"
    for pattern, name in RENAMED:
        key = pattern.sub(name, key)
    return key
