"""AlexNet: Krizhevsky 2014, arXiv:1404.5997 ("one weird trick"): one tower, no local response normalisation.

Keys and module order of torchvision. The network of 2012 is wider, grouped over two GPUs, and another one.
"""

from torch import Tensor, nn

from edgekit.models._blocks import init_weights, relu
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
"""Output channels, kernel, stride, padding, and whether a 3x3 max pool of stride 2 follows."""

MAP = 6
"""Rows and columns of the map that the classifier reads; the average pool before it changes nothing at 224 pixels."""

HIDDEN = 4096


class AlexNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes]."""

    def __init__(self, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outputs, kernel, stride, padding, pooled in CONVOLUTIONS:
            layers += [nn.Conv2d(channels, outputs, kernel, stride, padding), relu()]
            if pooled:
                layers.append(nn.MaxPool2d(3, 2))
            channels = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(MAP)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(channels * MAP**2, HIDDEN),
            relu(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, HIDDEN),
            relu(),
            nn.Linear(HIDDEN, num_classes),
        )
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


@register_model(
    params=61_100_840,
    macs=714_188_480,
    paper="arXiv:1404.5997",
    reference="torchvision/alexnet",
    weights=(torchvision_weights("AlexNet_Weights.IMAGENET1K_V1", "alexnet-owt-7be5be79.pth", 56.522),),
    min_input=63,
)
def alexnet(num_classes: int = 1000) -> nn.Module:
    """AlexNet, torchvision's form."""
    return AlexNet(num_classes)
