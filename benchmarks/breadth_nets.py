"""Nets of the kinds that phone developers ship, each in a few lines, at small sizes and with random weights.

They stand for what apps do, not for a paper: detectors with their decoding, heat maps, segmentation, restoration,
recognition of text, recurrent heads, attention, warps, counting, and the tricks that such nets are written with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Net:
    """One net.

    Args:
        size: of its input, pixels, or (height, width).
    """

    name: str
    build: Callable[[], nn.Module]
    size: int | tuple[int, int] = 64
    channels: int = 3


class Function(nn.Module):
    """Modules by name, and a forward that is given them."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            if isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            elif isinstance(part, Tensor):
                self.register_buffer(name, part)
            else:
                self.add_module(name, part)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)

    def forward(self, image: Tensor) -> Any:
        return self.function(self, image)


def cbr(
    into: int, out: int, stride: int = 1, kernel: int = 3, act: type[nn.Module] = nn.ReLU, **options: Any
) -> nn.Module:
    conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(out), act())


def separable(into: int, out: int, stride: int = 1, act: type[nn.Module] = nn.ReLU6) -> nn.Module:
    return nn.Sequential(cbr(into, into, stride, act=act, groups=into), cbr(into, out, kernel=1, act=act))


def stem(*widths: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Each halves the map."""
    return nn.Sequential(*(cbr(a, b, 2, act=act) for a, b in zip((3, *widths), widths, strict=False)))


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(0.2 * torch.randn(*shape))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 8, 1), nn.ReLU(), nn.Conv2d(8, channels, 1)
        )

    def forward(self, x: Tensor) -> Any:
        return x * F.hardsigmoid(self.gate(x))


class Residual(nn.Module):
    def __init__(self, body: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.body, self.scale = body, scale

    def forward(self, x: Tensor) -> Any:
        return x + self.body(x) * self.scale


def classifier(*body: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


# -- detection ---------------------------------------------------------------------------------------------------------


def yolo_in_place(n: Function, x: Tensor) -> Any:
    y = n.head(n.body(x)).view(1, 3, 7, 8, 8).permute(0, 1, 3, 4, 2).sigmoid()
    y[..., 0:2] = (y[..., 0:2] * 2 - 0.5 + n.grid) * 8
    y[..., 2:4] = (y[..., 2:4] * 2) ** 2 * n.anchors
    return y.reshape(1, -1, 7)


def yolo_distribution(n: Function, x: Tensor) -> Any:
    y = n.head(n.body(x)).flatten(2)
    box, scores = y.split((64, 5), 1)
    sides = (box.view(1, 4, 16, -1).softmax(2) * n.bins).sum(2)
    return torch.cat((n.centres - sides[:, :2], n.centres + sides[:, 2:]), 1), scores.sigmoid()


def yolox(n: Function, x: Tensor) -> Any:
    focus = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
    y = n.body(focus)
    y = torch.cat([n.box(y), n.objectness(y).sigmoid(), n.classes(y).sigmoid()], 1).flatten(2).permute(0, 2, 1)
    return torch.cat([y[..., :2] * 4, y[..., 2:4].exp() * 4, y[..., 4:]], -1)


def centre_net(n: Function, x: Tensor) -> Any:
    y = n.up(n.body(x))
    heat = n.heat(y).sigmoid()
    heat = heat * (F.max_pool2d(heat, 3, 1, 1) == heat).float()
    scores, places = heat.flatten(1).topk(10)
    return scores, places % 16, n.size(y)


def ssd(n: Function, x: Tensor) -> Any:
    maps, boxes, scores = [n.body(x)], [], []
    maps.append(n.extra(maps[0]))
    for y, box, score in zip(maps, n.box, n.score, strict=True):
        boxes.append(box(y).permute(0, 2, 3, 1).reshape(1, -1, 4))
        scores.append(score(y).permute(0, 2, 3, 1).reshape(1, -1, 3))
    return torch.cat(boxes, 1), torch.cat(scores, 1).softmax(-1)


def best_boxes(n: Function, x: Tensor) -> Any:
    y = n.body(x)
    scores, boxes = n.score(y).flatten(1), n.box(y).flatten(2)[0].T
    values, places = scores[0].topk(10)
    return torch.cat([boxes[places], values[:, None]], 1)


def pyramid(n: Function, x: Tensor) -> Any:
    a = n.one(x)
    b = n.two(a)
    c = n.three(b)
    c = n.lateral(c)
    b = n.middle(b) + F.interpolate(c, scale_factor=2)
    a = n.fine(a) + F.interpolate(b, scale_factor=2)
    return [n.head(level) for level in (a, b, c)]


def weighted_pyramid(n: Function, x: Tensor) -> Any:
    """EfficientDet: weights of the levels are normalised in the model."""
    a = n.one(x)
    b = n.two(a)
    weights = n.weights.relu()
    weights = weights / (weights.sum() + 1e-4)
    return n.head(weights[0] * a + weights[1] * F.interpolate(b, scale_factor=2, mode="nearest"))


def detr(n: Function, x: Tensor) -> Any:
    tokens = n.body(x).flatten(2).permute(0, 2, 1) + n.places
    memory = n.encoder(tokens)
    return n.head(n.decoder(n.queries, memory))


def blaze_face(n: Function, x: Tensor) -> Any:
    y = n.a(F.pad(x, (1, 2, 1, 2)))
    y = F.relu(n.b(F.pad(y, (0, 2, 0, 2))) + F.pad(F.max_pool2d(y, 2), (0, 0, 0, 0, 0, 8)))
    return n.score(y).permute(0, 2, 3, 1).reshape(1, -1, 1), n.box(y).permute(0, 2, 3, 1).reshape(1, -1, 16)


def siamese_tracker(n: Function, x: Tensor) -> Any:
    y = n.body(x)
    template = y[:, :, 4:9, 4:9]
    return n.head(F.conv2d(y, template.transpose(0, 1), padding=2, groups=16))


# -- maps --------------------------------------------------------------------------------------------------------------


def unet(n: Function, x: Tensor) -> Any:
    a = n.a(x)
    b = n.b(F.max_pool2d(a, 2))
    c = n.c(F.max_pool2d(b, 2))
    b = n.d(torch.cat([b, n.up1(c)], 1))
    return n.head(torch.cat([a, n.up2(b)], 1))


def segnet(n: Function, x: Tensor) -> Any:
    y, first = nn.MaxPool2d(2, return_indices=True)(n.a(x))
    y, second = nn.MaxPool2d(2, return_indices=True)(n.b(y))
    y = n.c(F.max_unpool2d(n.m(y), second, [2, 2]))
    return n.d(F.max_unpool2d(y, first, [2, 2]))


def pyramid_pooling(n: Function, x: Tensor) -> Any:
    y = n.body(x)
    levels = [F.interpolate(F.adaptive_avg_pool2d(y, k), y.shape[2:], mode="bilinear") for k in (1, 2, 3, 6)]
    return F.interpolate(n.head(torch.cat([y, *levels], 1)), x.shape[2:], mode="bilinear")


def two_paths(n: Function, x: Tensor) -> Any:
    """BiSeNet: attention over channels, fusion of a fine and a coarse path."""
    fine, coarse = n.fine(x), n.coarse(x)
    coarse = coarse * n.attend(coarse.mean((2, 3), keepdim=True)).sigmoid()
    y = n.fuse(torch.cat([fine, F.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=True)], 1))
    return n.head(y + y * n.gate(F.adaptive_avg_pool2d(y, 1)).sigmoid())


def classes_of_pixels(n: Function, x: Tensor) -> Any:
    return F.interpolate(n.body(x), x.shape[2:], mode="bilinear", align_corners=False).argmax(1)


def matting(n: Function, x: Tensor) -> Any:
    alpha = n.head(F.interpolate(n.body(x), scale_factor=4, mode="bilinear")).sigmoid()
    return x * alpha + (1 - alpha) * n.background


def depth(n: Function, x: Tensor) -> Any:
    y = F.interpolate(n.body(x), scale_factor=2, mode="bicubic")
    y = n.head(F.interpolate(y, scale_factor=4, mode="bilinear", align_corners=True)).relu()
    low, high = y.amin((2, 3), keepdim=True), y.amax((2, 3), keepdim=True)
    return (y - low) / (high - low + 1e-6)


def soft_argmax(n: Function, x: Tensor) -> Any:
    heat = n.body(x).flatten(2).softmax(-1).view(1, 5, 16, 16)
    return torch.stack([(heat.sum(2) * n.axis).sum(-1), (heat.sum(3) * n.axis).sum(-1)], -1)


def simple_coordinates(n: Function, x: Tensor) -> Any:
    y = n.body(x).flatten(2)
    return n.x(y), n.y(y)


def peaks_of_pose(n: Function, x: Tensor) -> Any:
    heat = n.body(x).flatten(2)
    return heat.max(-1)


# -- pictures ----------------------------------------------------------------------------------------------------------


def zero_dce(n: Function, x: Tensor) -> Any:
    curves = n.body(x).tanh()
    for curve in curves.split(3, 1):
        x = x + curve * (x * x - x)
    return x


def guided(n: Function, x: Tensor) -> Any:
    """A box filter as a guide: means and variances of windows."""
    mean = F.avg_pool2d(x, 5, 1, 2)
    var = F.avg_pool2d(x * x, 5, 1, 2) - mean * mean
    a = var / (var + 0.01)
    return n.head(a * x + mean * (1 - a))


def lookup(n: Function, x: Tensor) -> Any:
    """Three curves, mixed by weights that a small net finds."""
    weights = n.net(F.interpolate(x, (16, 16), mode="bilinear")).softmax(1)
    curves = torch.stack([x, x.clamp(min=1e-4).pow(0.6), x * x], 1)
    return (curves * weights.view(1, 3, 1, 1, 1)).sum(1)


def inpainting(n: Function, x: Tensor) -> Any:
    image, mask = x[:, :3], (x[:, 3:] > 0).float()
    y = n.body(torch.cat([image * (1 - mask), mask], 1))
    return image * (1 - mask) + y * mask


def fixed_warp(n: Function, x: Tensor) -> Any:
    return n.body(F.grid_sample(x, n.grid, align_corners=True))


def transformer_of_images(n: Function, x: Tensor) -> Any:
    theta = n.net(x).view(1, 2, 3)
    return n.body(F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False))


def style(n: Function, x: Tensor) -> Any:
    y = n.down(F.pad(x, (4, 4, 4, 4), mode="reflect"))
    return (n.up(n.blocks(y)).tanh() + 1) * 127.5


def shuffled_up(n: Function, x: Tensor) -> Any:
    y = n.a(x)
    return F.pixel_shuffle(n.c(y + n.b(y)), 2) + F.interpolate(x, scale_factor=2, mode="bicubic")


# -- sequences, tokens -------------------------------------------------------------------------------------------------


def crnn(n: Function, x: Tensor) -> Any:
    y = n.body(x).mean(2).permute(2, 0, 1)
    return n.head(n.rnn(y)[0]).log_softmax(-1)


def last_state(n: Function, x: Tensor) -> Any:
    _, (state, _) = n.rnn(n.body(x).flatten(2).permute(0, 2, 1))
    return n.head(state[-1])


def shifted_frames(n: Function, x: Tensor) -> Any:
    """Four frames as images of a batch, channels shifted in time."""
    y = n.body(x.view(4, 3, 32, 32)).view(1, 4, 16, 16, 16)
    shifted = torch.zeros_like(y)
    shifted[:, :-1, :4] = y[:, 1:, :4]
    shifted[:, 1:, 4:8] = y[:, :-1, 4:8]
    shifted[:, :, 8:] = y[:, :, 8:]
    return n.head(n.after(shifted.view(4, 16, 16, 16)).mean((2, 3))).mean(0, keepdim=True)


def video(n: Function, x: Tensor) -> Any:
    return n.head(n.body(x.view(1, 3, 4, 32, 32)).mean((2, 3, 4)))


def tokens(n: Function, x: Tensor) -> Any:
    y = n.patches(x).flatten(2).transpose(1, 2)
    y = torch.cat([n.token.expand(1, -1, -1), y], 1) + n.places
    return n.head(n.encoder(y)[:, 0])


def bias_attention(n: Function, x: Tensor) -> Any:
    y = n.patches(x).flatten(2).transpose(1, 2)
    q, k, v = n.qkv(y).reshape(1, 64, 3, 4, 8).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=n.bias)
    return n.head(y.transpose(1, 2).reshape(1, 64, 32).mean(1))


def linear_attention(n: Function, x: Tensor) -> Any:
    y = n.patches(x)
    q, k, v = n.qkv(y).view(1, 3, 4, 8, 64).unbind(1)
    q, k = q.softmax(-2), k.softmax(-1)
    y = (k @ v.transpose(-1, -2)).transpose(-1, -2) @ q
    return n.head(y.reshape(1, 32, 8, 8)).mean((2, 3))


def windows(n: Function, x: Tensor) -> Any:
    y = torch.roll(n.patches(x), (-2, -2), (2, 3))
    y = y.view(1, 32, 4, 4, 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(16, 16, 32)
    y = y + n.attention(y, y, y)[0]
    y = y.view(1, 4, 4, 4, 4, 32).permute(0, 5, 1, 3, 2, 4).reshape(1, 32, 16, 16)
    return n.head(torch.roll(y, (2, 2), (2, 3)).mean((2, 3)))


def mixer(n: Function, x: Tensor) -> Any:
    y = n.patches(x).flatten(2)
    y = y + n.across(y)
    y = y.transpose(1, 2)
    return n.head((y + n.within(y)).mean(1))


def attention_pool(n: Function, x: Tensor) -> Any:
    keys = n.body(x).flatten(2)
    weights = (n.queries @ keys).softmax(-1)
    return n.head(F.normalize((weights @ keys.transpose(1, 2)).flatten(1), dim=-1))


# -- recognition -------------------------------------------------------------------------------------------------------


def embedding(n: Function, x: Tensor) -> Any:
    return F.normalize(n.head(n.body(x).flatten(1)))


def cosine_gallery(n: Function, x: Tensor) -> Any:
    return F.normalize(n.head(n.body(x).mean((2, 3)))) @ F.normalize(n.gallery, dim=1).t()


def ordinal_age(n: Function, x: Tensor) -> Any:
    return (n.head(n.body(x).mean((2, 3))).softmax(-1) * n.years).sum(-1, keepdim=True)


def attention_of_blocks(n: Function, x: Tensor) -> Any:
    """CBAM."""
    y = n.body(x)
    y = y * (n.mlp(F.adaptive_avg_pool2d(y, 1)) + n.mlp(F.adaptive_max_pool2d(y, 1))).sigmoid()
    y = y * n.spatial(torch.cat([y.mean(1, True), y.max(1, True).values], 1)).sigmoid()
    return n.head(y.mean((2, 3)))


def coordinate_attention(n: Function, x: Tensor) -> Any:
    y = n.body(x)
    rows, columns = y.mean(3, keepdim=True), y.mean(2, keepdim=True).permute(0, 1, 3, 2)
    mixed = F.hardswish(n.mix(torch.cat([rows, columns], 2)))
    rows, columns = mixed[:, :, :16], mixed[:, :, 16:]
    return n.head((y * n.a(rows).sigmoid() * n.b(columns.permute(0, 1, 3, 2)).sigmoid()).mean((2, 3)))


def memory_bank(n: Function, x: Tensor) -> Any:
    y = n.body(x).flatten(2).transpose(1, 2)
    distances = y.pow(2).sum(-1, keepdim=True) - 2 * y @ n.bank.t() + n.bank.pow(2).sum(-1)
    return distances.clamp(min=0).sqrt().min(-1).values.max(-1).values


def dynamic_filter(n: Function, x: Tensor) -> Any:
    y = n.body(x)
    weights = n.filters(y.mean((2, 3))).view(16, 1, 3, 3)
    return n.head(F.conv2d(y, weights, padding=1, groups=16).mean((2, 3)))


def _mlp(into: int, inner: int) -> nn.Module:
    return nn.Sequential(nn.Linear(into, inner), nn.GELU(), nn.Linear(inner, into))


def _encoder(width: int = 32) -> nn.Module:
    return nn.TransformerEncoderLayer(width, 4, 64, batch_first=True, norm_first=True)


def _grid(size: int) -> Tensor:
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x * (1 + 0.1 * y * y), y * 0.9], -1)[None]


def _heads(count: int, out: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(16, out, 3, padding=1) for _ in range(count))


def _places(size: int) -> Tensor:
    line = torch.arange(float(size))
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def _net(name: str, forward: Callable[..., Any], parts: Callable[[], dict[str, Any]], **options: Any) -> Net:
    return Net(name, lambda: Function(forward, **parts()), **options)


def _plain(name: str, build: Callable[[], nn.Module], **options: Any) -> Net:
    return Net(name, build, **options)


NETS: Sequence[Net] = (
    _net(
        "yolo, decoded in place",
        yolo_in_place,
        lambda: {
            "body": stem(8, 16, 16, act=nn.SiLU),
            "head": nn.Conv2d(16, 21, 1),
            "grid": _places(8),
            "anchors": torch.rand(1, 3, 1, 1, 2) * 8,
        },
    ),
    _net(
        "yolo, distributions of sides",
        yolo_distribution,
        lambda: {
            "body": stem(8, 16, 16, act=nn.SiLU),
            "head": nn.Conv2d(16, 69, 1),
            "bins": torch.arange(16.0).view(1, 1, 16, 1),
            "centres": torch.rand(1, 2, 64),
        },
    ),
    _net(
        "yolox",
        yolox,
        lambda: {
            "body": nn.Sequential(cbr(12, 16, act=nn.SiLU), cbr(16, 16, 2, act=nn.SiLU)),
            "box": nn.Conv2d(16, 4, 1),
            "objectness": nn.Conv2d(16, 1, 1),
            "classes": nn.Conv2d(16, 5, 1),
        },
    ),
    _net(
        "centre net, peaks and top k",
        centre_net,
        lambda: {
            "body": stem(8, 16, 16),
            "up": nn.ConvTranspose2d(16, 16, 4, 2, 1),
            "heat": nn.Conv2d(16, 3, 1),
            "size": nn.Conv2d(16, 2, 1),
        },
    ),
    _net(
        "single shot detector",
        ssd,
        lambda: {"body": stem(8, 16, 16), "extra": cbr(16, 16, 2), "box": _heads(2, 8), "score": _heads(2, 6)},
    ),
    _net(
        "detector with its ten best boxes",
        best_boxes,
        lambda: {"body": stem(8, 16, 16), "score": nn.Conv2d(16, 1, 1), "box": nn.Conv2d(16, 4, 1)},
    ),
    _net(
        "feature pyramid",
        pyramid,
        lambda: {
            "one": stem(8, 16),
            "two": cbr(16, 24, 2),
            "three": cbr(24, 32, 2),
            "lateral": nn.Conv2d(32, 16, 1),
            "middle": nn.Conv2d(24, 16, 1),
            "fine": nn.Conv2d(16, 16, 1),
            "head": nn.Conv2d(16, 6, 3, padding=1),
        },
    ),
    _net(
        "weighted pyramid",
        weighted_pyramid,
        lambda: {
            "one": stem(8, 16),
            "two": separable(16, 16, 2, nn.SiLU),
            "weights": nn.Parameter(torch.ones(2)),
            "head": separable(16, 6),
        },
    ),
    _net(
        "detection transformer",
        detr,
        lambda: {
            "body": stem(8, 16, 32),
            "places": parameter(1, 64, 32),
            "encoder": _encoder(),
            "queries": parameter(1, 6, 32),
            "decoder": nn.TransformerDecoderLayer(32, 4, 64, batch_first=True),
            "head": nn.Linear(32, 8),
        },
    ),
    _net(
        "faces of a phone's camera",
        blaze_face,
        lambda: {
            "a": nn.Sequential(nn.Conv2d(3, 16, 5, 2), nn.ReLU()),
            "b": nn.Conv2d(16, 24, 5, 2, 1),
            "score": nn.Conv2d(24, 2, 1),
            "box": nn.Conv2d(24, 32, 1),
        },
    ),
    _net("tracker by correlation", siamese_tracker, lambda: {"body": stem(8, 16), "head": nn.Conv2d(16, 5, 1)}),
    _net(
        "u-net",
        unet,
        lambda: {
            "a": cbr(3, 8),
            "b": cbr(8, 16),
            "c": cbr(16, 32),
            "up1": nn.ConvTranspose2d(32, 16, 2, 2),
            "d": cbr(32, 16),
            "up2": nn.ConvTranspose2d(16, 8, 2, 2),
            "head": nn.Conv2d(16, 2, 1),
        },
    ),
    _net(
        "segmentation by unpooling",
        segnet,
        lambda: {
            "a": cbr(3, 8),
            "b": cbr(8, 16),
            "m": cbr(16, 16),
            "c": cbr(16, 8),
            "d": nn.Conv2d(8, 3, 3, padding=1),
        },
    ),
    _net("pyramid pooling", pyramid_pooling, lambda: {"body": stem(8, 16, 16), "head": nn.Conv2d(80, 4, 1)}),
    _net(
        "two paths",
        two_paths,
        lambda: {
            "fine": stem(8, 16),
            "coarse": stem(8, 16, 16, 16),
            "attend": nn.Conv2d(16, 16, 1),
            "fuse": cbr(32, 16),
            "gate": nn.Conv2d(16, 16, 1),
            "head": nn.Conv2d(16, 4, 1),
        },
    ),
    _net("classes of pixels", classes_of_pixels, lambda: {"body": nn.Sequential(stem(8, 16), nn.Conv2d(16, 5, 1))}),
    _net(
        "matting",
        matting,
        lambda: {"body": stem(8, 16), "head": nn.Conv2d(16, 1, 3, padding=1), "background": parameter(1, 3, 64, 64)},
    ),
    _net("depth", depth, lambda: {"body": stem(8, 16, 16), "head": nn.Conv2d(16, 1, 3, padding=1)}),
    _net(
        "points by soft argmax",
        soft_argmax,
        lambda: {"body": nn.Sequential(stem(8, 16), nn.Conv2d(16, 5, 1)), "axis": torch.arange(16.0)},
    ),
    _net(
        "points by two lines",
        simple_coordinates,
        lambda: {
            "body": nn.Sequential(stem(8, 16), nn.Conv2d(16, 5, 1)),
            "x": nn.Linear(256, 64),
            "y": nn.Linear(256, 64),
        },
    ),
    _net(
        "peaks of a pose",
        peaks_of_pose,
        lambda: {"body": nn.Sequential(stem(8, 16), nn.ConvTranspose2d(16, 5, 4, 2, 1))},
    ),
    _net(
        "curves for dark pictures",
        zero_dce,
        lambda: {"body": nn.Sequential(cbr(3, 8), cbr(8, 8), nn.Conv2d(8, 12, 3, padding=1))},
    ),
    _net("guided filter", guided, lambda: {"head": nn.Conv2d(3, 3, 3, padding=1)}),
    _net(
        "mixed curves", lookup, lambda: {"net": nn.Sequential(stem(8, 8), nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 3, 1))}
    ),
    _net(
        "inpainting", inpainting, lambda: {"body": nn.Sequential(cbr(4, 8), nn.Conv2d(8, 3, 3, padding=1))}, channels=4
    ),
    _net(
        "a lens undone", fixed_warp, lambda: {"body": nn.Sequential(cbr(3, 8), nn.Conv2d(8, 3, 1)), "grid": _grid(64)}
    ),
    _net(
        "spatial transformer",
        transformer_of_images,
        lambda: {
            "net": nn.Sequential(stem(8, 8), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 6)),
            "body": classifier(stem(8, 16), width=16),
        },
    ),
    _net(
        "style transfer",
        style,
        lambda: {
            "down": nn.Sequential(
                nn.Conv2d(3, 8, 9),
                nn.InstanceNorm2d(8, affine=True),
                nn.ReLU(),
                nn.Conv2d(8, 16, 3, 2, 1),
                nn.InstanceNorm2d(16, affine=True),
            ),
            "blocks": Residual(
                nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(16, 16, 3), nn.InstanceNorm2d(16, affine=True))
            ),
            "up": nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(16, 3, 3, padding=1)),
        },
    ),
    _net(
        "super resolution over a cubic base",
        shuffled_up,
        lambda: {
            "a": nn.Conv2d(3, 16, 3, padding=1),
            "b": nn.Sequential(nn.PReLU(16), nn.Conv2d(16, 16, 3, padding=1)),
            "c": nn.Conv2d(16, 12, 3, padding=1),
        },
        size=32,
    ),
    _plain(
        "super resolution",
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 12, 3, padding=1), nn.PixelShuffle(2)
        ),
        size=32,
    ),
    _plain(
        "super resolution by a transposed convolution",
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2),
            nn.PReLU(16),
            nn.Conv2d(16, 8, 1),
            nn.PReLU(8),
            nn.ConvTranspose2d(8, 3, 9, 2, 4, output_padding=1),
        ),
        size=32,
    ),
    _plain("denoising", lambda: Residual(nn.Sequential(cbr(3, 16), cbr(16, 16), nn.Conv2d(16, 3, 3, padding=1)), -1.0)),
    _plain(
        "deblocking by leaky residuals",
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            Residual(
                nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(16, 16, 3, padding=1)), 0.2
            ),
            nn.Conv2d(16, 3, 3, padding=1),
        ),
    ),
    _plain(
        "autoencoder",
        lambda: nn.Sequential(
            stem(8, 16), nn.ConvTranspose2d(16, 8, 2, 2), nn.ReLU(), nn.ConvTranspose2d(8, 3, 2, 2), nn.Sigmoid()
        ),
    ),
    _plain(
        "grouped transposed convolution",
        lambda: nn.Sequential(
            stem(8, 16), nn.ConvTranspose2d(16, 16, 4, 2, 1, groups=16, bias=False), nn.Conv2d(16, 3, 1)
        ),
    ),
    _net(
        "text of a line, LSTM",
        crnn,
        lambda: {"body": stem(8, 16), "rnn": nn.LSTM(16, 12, bidirectional=True), "head": nn.Linear(24, 20)},
        size=(32, 64),
    ),
    _net(
        "text of a line, GRU",
        crnn,
        lambda: {"body": stem(8, 16), "rnn": nn.GRU(16, 12, bidirectional=True), "head": nn.Linear(24, 20)},
        size=(32, 64),
    ),
    _net(
        "gestures by a last state",
        last_state,
        lambda: {"body": stem(8, 16, 16), "rnn": nn.LSTM(16, 12, batch_first=True), "head": nn.Linear(12, 5)},
        size=32,
    ),
    _net(
        "frames shifted in time",
        shifted_frames,
        lambda: {"body": cbr(3, 16, 2), "after": cbr(16, 16), "head": nn.Linear(16, 5)},
        size=32,
        channels=12,
    ),
    _net(
        "convolutions over time",
        video,
        lambda: {
            "body": nn.Sequential(
                nn.Conv3d(3, 8, 3, (1, 2, 2), 1), nn.ReLU(), nn.Conv3d(8, 8, 3, padding=1), nn.ReLU()
            ),
            "head": nn.Linear(8, 5),
        },
        size=32,
        channels=12,
    ),
    _net(
        "vision transformer",
        tokens,
        lambda: {
            "patches": nn.Conv2d(3, 32, 8, 8),
            "token": parameter(1, 1, 32),
            "places": parameter(1, 65, 32),
            "encoder": _encoder(),
            "head": nn.Linear(32, 10),
        },
    ),
    _net(
        "attention with a bias",
        bias_attention,
        lambda: {
            "patches": nn.Conv2d(3, 32, 8, 8),
            "qkv": nn.Linear(32, 96),
            "bias": parameter(1, 4, 64, 64),
            "head": nn.Linear(32, 10),
        },
    ),
    _net(
        "linear attention",
        linear_attention,
        lambda: {"patches": nn.Conv2d(3, 32, 8, 8), "qkv": nn.Conv2d(32, 96, 1), "head": nn.Conv2d(32, 10, 1)},
    ),
    _net(
        "shifted windows",
        windows,
        lambda: {
            "patches": nn.Conv2d(3, 32, 4, 4),
            "attention": nn.MultiheadAttention(32, 4, batch_first=True),
            "head": nn.Linear(32, 10),
        },
    ),
    _net(
        "mixer",
        mixer,
        lambda: {
            "patches": nn.Conv2d(3, 32, 8, 8),
            "across": _mlp(64, 32),
            "within": _mlp(32, 64),
            "head": nn.Linear(32, 10),
        },
    ),
    _net(
        "pooling by queries",
        attention_pool,
        lambda: {"body": stem(8, 16, 16), "queries": parameter(1, 4, 16), "head": nn.Linear(64, 10)},
    ),
    _net(
        "embedding of a face",
        embedding,
        lambda: {"body": nn.Sequential(stem(8, 16, 16), nn.Conv2d(16, 16, 8, groups=16)), "head": nn.Linear(16, 32)},
    ),
    _net(
        "nearest of a gallery",
        cosine_gallery,
        lambda: {"body": stem(8, 16), "head": nn.Linear(16, 32), "gallery": parameter(20, 32)},
    ),
    _net(
        "age",
        ordinal_age,
        lambda: {
            "body": nn.Sequential(stem(8, 16), SqueezeExcite(16)),
            "head": nn.Linear(16, 100),
            "years": torch.arange(100.0),
        },
    ),
    _net(
        "attention of channels and pixels",
        attention_of_blocks,
        lambda: {
            "body": stem(8, 16),
            "mlp": nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1)),
            "spatial": nn.Conv2d(2, 1, 7, padding=3),
            "head": nn.Linear(16, 10),
        },
    ),
    _net(
        "coordinate attention",
        coordinate_attention,
        lambda: {
            "body": stem(8, 16),
            "mix": cbr(16, 8, kernel=1, act=nn.Identity),
            "a": nn.Conv2d(8, 16, 1),
            "b": nn.Conv2d(8, 16, 1),
            "head": nn.Linear(16, 10),
        },
    ),
    _net(
        "filters made from the picture",
        dynamic_filter,
        lambda: {"body": stem(8, 16), "filters": nn.Linear(16, 144), "head": nn.Linear(16, 10)},
    ),
    _net("distances to a memory", memory_bank, lambda: {"body": stem(8, 16, 16), "bank": parameter(20, 16)}),
)
"""53 of them."""
