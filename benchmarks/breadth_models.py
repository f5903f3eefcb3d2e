"""Which models the sweep of benchmarks/breadth.py is over: names, how they are built, sizes of input to try."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from breadth_nets import NETS
from torch import nn

SIZES = (64, 96, 128, 192, 224, 256, 320, 384)
"""Pixels, tried in this order: the first at which a model runs is taken."""

FAMILIES = [
    "beit_base_patch16_224",
    "halonet26t",
    "mobileone_s0",
    "cait_xxs24_224",
    "coat_tiny",
    "convit_tiny",
    "convmixer_768_32",
    "convnext_atto",
    "cpubone_nano",
    "crossvit_tiny_240",
    "csatv2",
    "cs3darknet_focus_s",
    "cspnext_tiny",
    "davit_tiny",
    "deepseek_vit_412m",
    "deit_tiny_patch16_224",
    "densenet121",
    "dla46x_c",
    "dpn48b",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "efficientnet_lite0",
    "efficientvim_m1",
    "efficientvit_b0",
    "efficientvit_m0",
    "vit_tiny_patch16_dinov3_qkvb",
    "fasternet_t0",
    "fastvit_t8",
    "focalnet_tiny_srf",
    "gcvit_xxtiny",
    "gemma4_vit_167m",
    "ghostnet_050",
    "hardcorenas_b",
    "hgnetv2_b0",
    "hiera_tiny_224",
    "sam2_hiera_tiny",
    "hrnet_w18_small",
    "iformer_t",
    "inception_next_atto",
    "inception_resnet_v2",
    "inception_v3",
    "inception_v4",
    "lcnetv2_small",
    "levit_128s",
    "lowformer_b0",
    "mambaout_femto",
    "maxvit_rmlp_pico_rw_256",
    "poolformerv2_s12",
    "gmlp_ti16_224",
    "mobilenetv3_small_050",
    "mobilenetv5_base",
    "mobilevit_xxs",
    "mvitv2_tiny",
    "naflexvit_base_patch16_parfac_gap",
    "nasnetalarge",
    "nest_tiny",
    "nextvit_small",
    "nf_regnet_b0",
    "pit_ti_224",
    "pnasnet5large",
    "pvt_v2_b0",
    "qwen3_vit_88m",
    "rdnet_tiny",
    "regnetx_002",
    "repghostnet_050",
    "repvit_m1",
    "res2next50",
    "resnest14d",
    "resnet18",
    "resnetv2_18",
    "rexnet_100",
    "selecsls42",
    "legacy_seresnet18",
    "sequencer2d_s",
    "shvit_s1",
    "skresnet18",
    "starnet_s050",
    "swiftformer_xs",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "swinv2_cr_tiny_224",
    "tiny_vit_5m_224",
    "tnt_s_legacy_patch16_224",
    "tresnet_m",
    "twins_svt_small",
    "vgg11",
    "visformer_tiny",
    "vit_tiny_patch16_224",
    "vit_tiny_r_s16_p8_224",
    "vit_relpos_small_patch16_224",
    "samvit_base_patch16_224",
    "vitamin_small_224",
    "volo_d1_224",
    "ese_vovnet19b_slim_dw",
    "legacy_xception",
    "xception41p",
    "xcit_nano_12_p8_224",
]
"""One small model of each module of timm.models."""

FURTHER = [
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "mobilenetv4_hybrid_medium",
    "repvgg_a0",
    "efficientnet_b0",
    "efficientnetv2_rw_t",
    "mixnet_s",
    "fbnetc_100",
    "mnasnet_100",
    "spnasnet_100",
    "semnasnet_075",
    "tinynet_e",
    "ghostnetv2_100",
    "lcnet_050",
    "resnet18d",
    "resnet50",
    "resnext50_32x4d",
    "ecaresnet26t",
    "seresnet50",
    "regnety_002",
    "gernet_s",
    "convnextv2_atto",
    "mobilevitv2_050",
    "poolformer_s12",
    "caformer_s18",
    "levit_conv_128s",
    "edgenext_x_small",
    "coatnet_nano_rw_224",
    "deit3_small_patch16_224",
    "mixer_s32_224",
    "cspresnet50",
    "efficientvit_b1",
]
"""33 further models of timm that phone developers use."""

CLASSIFIERS = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_16",
]
"""One of each of torchvision's classifiers."""

SEGMENTATION = [
    "deeplabv3_mobilenet_v3_large",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "fcn_resnet50",
    "fcn_resnet101",
    "lraspp_mobilenet_v3_large",
]
DENSE_PARTS = [
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "maskrcnn_resnet50_fpn",
]
"""Detectors up to their heads: what is left of a detector when the app suppresses the boxes."""
WHOLE = ("ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn")
"""Detectors with their own suppression of boxes inside, whose results have no fixed shape."""


@dataclass(frozen=True)
class Subject:
    """A model of the sweep.

    Args:
        group: the row of the table that it counts in.
        build: makes the module; `size` is passed where `sized`, for models that are made for one size.
        channels: of the image.
    """

    group: str
    name: str
    build: Callable[..., nn.Module]
    sizes: tuple[int | tuple[int, int], ...] = SIZES
    sized: bool = False
    channels: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)


def subjects() -> Iterator[Subject]:
    for name in FAMILIES:
        yield Subject("timm families", name, _timm(name), sized=True)
    for name in CLASSIFIERS:
        yield Subject("torchvision classifiers", name, _torchvision(name))
    for name in SEGMENTATION:
        yield Subject("torchvision dense", name, _segmentation(name))
    for name in DENSE_PARTS:
        yield Subject("torchvision dense", name, _dense_part(name))
    for name in WHOLE:
        yield Subject("torchvision dense", f"{name} with its suppression", _detector(name))
    for net in NETS:
        yield Subject("nets for phones", net.name, net.build, (net.size,), channels=net.channels)
    for name in FURTHER:
        yield Subject("further timm", name, _timm(name), sized=True)


def _timm(name: str) -> Callable[..., nn.Module]:
    def build(size: int | None = None) -> nn.Module:
        import timm

        made: nn.Module = timm.create_model(name, **({} if size is None else {"img_size": size}))
        return made

    return build


def _torchvision(name: str) -> Callable[..., nn.Module]:
    def build() -> nn.Module:
        import torchvision

        extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        made: nn.Module = torchvision.models.get_model(name, weights=None, **extra)
        return made

    return build


def _segmentation(name: str) -> Callable[..., nn.Module]:
    def build() -> nn.Module:
        import torchvision

        made: nn.Module = torchvision.models.get_model(name, weights=None, weights_backbone=None)
        return made

    return build


def _detector(name: str) -> Callable[..., nn.Module]:
    return _segmentation(name)


def _dense_part(name: str) -> Callable[..., nn.Module]:
    return lambda: _DensePart(_detector(name)())


class _DensePart(nn.Module):
    """A detector's backbone and the heads that run over its maps."""

    backbone: Any
    head: Any

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.head = detector.rpn.head if hasattr(detector, "rpn") else detector.head

    def forward(self, image: torch.Tensor) -> Any:
        return self.head(list(self.backbone(image).values()))
