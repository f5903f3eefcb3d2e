"""Learned group convolution: Huang et al. 2018, arXiv:1711.09224, section 3.

In training a layer has one dense 1x1 whose output o belongs to group o mod G. Stage by stage each group gives up the
inputs whose weights are smallest, until 1/C of them is left: then it *is* a grouped convolution behind a selection of
channels, and `IndexedGroupConv` is what is exported.
"""

import torch
from torch import Tensor, nn

from edgekit.models._blocks import batch_norm
from edgekit.models._channels import check_divisible, shuffle_channels

LASSO_FLOOR = 1e-6
"""Least value under a root of the group lasso: at 0 its gradient is infinite."""


def condensing_stage(progress: float, factor: int) -> int:
    """The stage at a share of the training, 0..1: factor - 1 condensing stages in the first half, then the last one.

    Stage s starts at s / (2 * (factor - 1)); in it each group still has 1 - s/factor of its inputs.
    """
    return next((stage for stage in range(factor - 1) if 2 * progress < (stage + 1) / (factor - 1)), factor - 1)


class LearnedGroupConv(nn.Module):
    """Norm, ReLU, dense 1x1 under a mask: f32[N, inputs, H, W] -> f32[N, outputs, H, W].

    The mask changes only in `condense`, never in a forward pass: evaluation knows no progress of training.

    Args:
        groups: G, of the outputs.
        factor: C; each group keeps inputs / C input channels in the end.
    """

    mask: Tensor
    """f32[outputs, inputs, 1, 1]: 1 where a weight is alive."""

    stage: Tensor
    """i64[]: slices of inputs / C channels that each group has given up, 0..C-1."""

    def __init__(self, inputs: int, outputs: int, groups: int, factor: int) -> None:
        super().__init__()
        check_divisible(groups, output=outputs)
        check_divisible(factor, input=inputs)
        self.groups, self.factor, self.slice = groups, factor, inputs // factor
        self.norm = batch_norm()(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.register_buffer("mask", torch.ones_like(self.conv.weight))
        self.register_buffer("stage", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(self.relu(self.norm(x)), self.conv.weight * self.mask)

    def by_group(self, tensor: Tensor) -> Tensor:
        """[outputs, inputs, 1, 1] -> [outputs / G, G, inputs]: output o stands at (o // G, o mod G)."""
        return tensor.view(-1, self.groups, tensor.shape[1])

    def condense(self, progress: float) -> None:
        """Give up the inputs that the stage at `progress` has no room for; each stage passed over counts.

        A stage drops from every group the inputs / C living inputs with the smallest L1 norm over the group's outputs.
        """
        for stage in range(int(self.stage) + 1, condensing_stage(progress, self.factor) + 1):
            self._drop_slice()
            self.stage.fill_(stage)

    @torch.no_grad()
    def _drop_slice(self) -> None:
        mask = self.by_group(self.mask)
        importance = self.by_group(self.conv.weight.abs()).sum(0)
        dropped = importance.masked_fill(mask[0] == 0, torch.inf).topk(self.slice, largest=False).indices
        mask.scatter_(2, dropped.expand(len(mask), -1, -1), 0.0)

    def group_lasso(self) -> Tensor:
        """f32[]: sum over groups and inputs of the L2 norm of the weights between them; 0 when condensed."""
        if int(self.stage) == self.factor - 1:
            return self.conv.weight.new_zeros(())
        squares = self.by_group((self.conv.weight * self.mask) ** 2).sum(0)
        return squares.clamp(min=LASSO_FLOOR).sqrt().sum()

    def kept(self) -> Tensor:
        """i64[G, inputs / C]: the living inputs of each group, ascending. ValueError before the last stage."""
        if int(self.stage) != self.factor - 1:
            raise ValueError(f"stage {int(self.stage)} of {self.factor - 1}: the layer is not condensed yet")
        return self.by_group(self.mask)[0].nonzero()[:, 1].view(self.groups, self.slice)


class IndexedGroupConv(nn.Module):
    """Selection of channels, norm, ReLU, grouped 1x1, shuffle: f32[N, inputs, H, W] -> f32[N, outputs, H, W].

    A channel may be given to several groups, or to none. Until `take` or a checkpoint says which, the selection is a
    random one: an ordered one would be no selection at all, which no condensed network has.

    Args:
        groups: G.
        factor: C; each group is given inputs / C channels.
    """

    index: Tensor
    """i64[G * inputs / C]: which input stands where, group by group."""

    def __init__(self, inputs: int, outputs: int, groups: int, factor: int) -> None:
        super().__init__()
        self.groups, selected = groups, groups * (inputs // factor)
        given = [torch.randperm(inputs)[: inputs // factor].sort().values for _ in range(groups)]
        self.register_buffer("index", torch.cat(given))
        self.bn = batch_norm()(selected)
        self.activ = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(selected, outputs, 1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.activ(self.bn(x.index_select(1, self.index))))
        return shuffle_channels(y, self.groups)

    @torch.no_grad()
    def take(self, learned: LearnedGroupConv) -> None:
        """Become what `learned` has condensed to: in evaluation the same sums, without their zeros."""
        kept = learned.kept()
        self.index.copy_(kept.flatten())
        norm = learned.norm.state_dict()
        self.bn.load_state_dict({name: value[self.index] if value.dim() else value for name, value in norm.items()})
        weights = learned.by_group(learned.conv.weight)  # [outputs / G, G, inputs]
        grouped = torch.stack([weights[:, group, kept[group]] for group in range(self.groups)])
        self.conv.weight.copy_(grouped.reshape(self.conv.weight.shape))


class IndexedLinear(nn.Module):
    """Selection of features, then a linear layer: f32[N, inputs] -> f32[N, outputs].

    Args:
        selected: features that it reads.
    """

    index: Tensor
    """i64[selected], ascending."""

    def __init__(self, selected: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("index", torch.arange(selected))
        self.linear = nn.Linear(selected, outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.index_select(1, self.index))
        return logits

    @torch.no_grad()
    def take(self, dense: nn.Linear) -> None:
        """Keep the features whose weights have the largest L1 norm. The others are lost: logits change."""
        chosen = dense.weight.abs().sum(0).topk(len(self.index)).indices.sort().values
        self.index.copy_(chosen)
        self.linear.weight.copy_(dense.weight[:, chosen])
        self.linear.bias.copy_(dense.bias)
