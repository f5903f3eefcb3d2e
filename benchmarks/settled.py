"""Models with sane statistics for measurements, where no trained weights are at hand.

Random weights with untrained BatchNorm statistics make scales that no trained net has: XNNPACK then refuses additions
for no fault of the lowering, and int8 loses what it loses for no fault of the quantizer. One pass over images settles
the statistics.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.registry import models
from edgekit.target import EmitOptions, Emitted, FloatArray, targets
from edgekit.trace import trace

COLOURS = np.array([[1.2, 0.0, -1.0], [-1.0, 1.0, 0.0], [0.0, -1.2, 1.0], [-0.8, -0.8, -0.8]]).reshape(4, 3, 1, 1)


def smooth_images(count: int, height: int, width: int, seed: int = 0) -> FloatArray:
    """f32[count, 3, height, width] of noise with the 1/f spectrum of photographs, in the colour of class i % 4.

    Without colours all of them look alike to an untrained network, whose outputs then differ less than quantization
    moves them.
    """
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum = np.fft.rfft2(generator.standard_normal((count, 3, height, width))) / np.maximum(frequency, 1 / height)
    images = np.fft.irfft2(spectrum, s=(height, width))
    images -= images.mean(axis=(2, 3), keepdims=True)
    images /= images.std(axis=(1, 2, 3), keepdims=True)
    colour = COLOURS[np.arange(count) % len(COLOURS)] + 0.2 * generator.standard_normal((count, 3, 1, 1))
    contrast = generator.uniform(0.3, 1.0, (count, 1, 1, 1))
    return (contrast * images + colour).astype(np.float32)


def settle(module: nn.Module, images: FloatArray) -> nn.Module:
    """Make an untrained network behave like a trained one on `images`, f32[n, 3, H, W]; returns it in eval mode.

    Norms are mild, their statistics those of the images, and the classifier knows each image as a class of its own.
    """
    soften_batch_norm(module)
    settle_batch_norm(module, images)
    return know_images(module, images)


def soften_batch_norm(module: nn.Module) -> None:
    """Scale 1/2 and offset 1/2 in every BatchNorm, so that most of what a ReLU sees passes it.

    Fresh networks fold space: every ReLU cuts half of its input, and an error of one layer is larger after the next. A
    trained ResNet-50 keeps 20 dB in int8 where a fresh one keeps 7.
    """
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.weight, 0.5)
            nn.init.constant_(layer.bias, 0.5)


def settle_batch_norm(module: nn.Module, images: FloatArray, together: int = 8) -> nn.Module:
    """Set every BatchNorm's running statistics to those of `images`, so many at a time; returns it in eval mode."""
    module.eval()  # no dropout, no stochastic depth
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # cumulative average
            layer.train()
    with torch.no_grad():
        for batch in torch.split(torch.from_numpy(images), together):
            module(batch)
    return module.eval()


OTHER_CLASSES = 0.2
"""Deviation of the logits of classes that no image has, against 1 for the right class."""


def know_images(module: nn.Module, images: FloatArray) -> nn.Module:
    """Write a nearest-prototype classifier into the last layer: class i is the feature vector of image i.

    Logits are centred over the images. Those of a random classifier are nearly the same for all images: any file would
    agree with it, or none. A classifier without bias is blind to what all images share, which comes to the same.
    """
    layers = (layer for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    classifier = [layer for layer in layers if layer.bias is not None or isinstance(layer, nn.Linear)][-1]
    seen: list[torch.Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for batch in torch.split(torch.from_numpy(images), 8):
            module(batch)
        hook.remove()
        features = torch.cat(seen).flatten(2).mean(2) if seen[0].ndim == 4 else torch.cat(seen)
        centre = features.mean(0)
        centred = features - centre
        weight = classifier.weight.flatten(1)
        weight *= OTHER_CLASSES / (centred @ weight.T).std()
        known = min(len(weight), len(images))
        weight[:known] = (centred / centred.square().sum(1, keepdim=True))[:known]
        if classifier.bias is not None:
            classifier.bias.copy_(-(weight @ centre))
        else:
            weight -= torch.outer(weight @ centre, centre / centre.square().sum())
        classifier.weight.copy_(weight.reshape(classifier.weight.shape))
    return module


@dataclass(frozen=True)
class Settled:
    """A zoo model with settled statistics, simplified, with calibration images."""

    name: str
    graph: ir.Model
    images: FloatArray

    @staticmethod
    def make(name: str, size: int | None = None, count: int = 16) -> "Settled":
        spec = models.get(name)
        _, height, width = spec.input_shape
        images = smooth_images(count, size or height, size or width)
        torch.manual_seed(0)
        module = settle(spec.build(), images)
        return Settled(name, simplify(trace(module, (1, *images.shape[1:]))), images)

    def emit(self, target_name: str, prepare: Callable[[ir.Model], ir.Model] = prepare_integer) -> Emitted:
        """The file of one target; `prepare` rewrites the graph before quantization."""
        target = targets.get(target_name)
        graph = self.graph
        if target.scheme.needs_calibration:
            ready = prepare(graph)
            graph = quantize(ready, calibrate(ready, [self.images]), target.scheme)
        emitted: Emitted = target.emit(graph, target, EmitOptions())
        return emitted
