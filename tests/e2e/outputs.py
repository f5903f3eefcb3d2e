"""Nets with several outputs, of sizes that one scale could not hold together; written as a user's own file."""

SOURCE = '''
import collections, dataclasses, itertools
import torch
from torch import nn

Pair = collections.namedtuple("Pair", "boxes scores")


@dataclasses.dataclass
class Found:
    boxes: torch.Tensor
    scores: torch.Tensor


class Net(nn.Module):
    """Scores of six classes, boxes forty times as large, and a map."""

    def __init__(self, order, kind):
        super().__init__()
        torch.manual_seed(0)
        self.order, self.kind = order, kind
        self.body = nn.Conv2d(3, 16, 3, 2, 1)
        self.boxes, self.map, self.scores = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 3, 3, padding=1), nn.Linear(16, 6)

    def forward(self, x):
        features = torch.relu(self.body(x))
        scores = self.scores(features.mean((2, 3)))
        found = {"boxes": self.boxes(features) * 40, "map": self.map(features), "scores": scores}
        chosen = {name: found[name] for name in self.order.split("-")}
        return {
            "tuple": lambda: tuple(chosen.values()),
            "list": lambda: list(chosen.values()),
            "dict": lambda: chosen,
            "ordered": lambda: collections.OrderedDict(chosen),
            "named": lambda: Pair(found["boxes"], found["scores"]),
            "dataclass": lambda: Found(found["boxes"], found["scores"]),
            "none": lambda: (found["boxes"], None, found["scores"]),
            "nested": lambda: [found["boxes"], {"heads": (found["map"], found["scores"])}],
            "twice": lambda: (found["scores"], found["scores"]),
            "input": lambda: (x, found["scores"]),
            "text": lambda: (found["scores"], "scores"),
        }[self.kind]()


def make(order="boxes-scores", kind="tuple"):
    return Net(order, kind)


class Ruined(Net):
    """The second output is a small difference of large maps: eight bits hold nothing of it."""

    def forward(self, x):
        features = torch.relu(self.body(x)) * 4
        offsets = torch.sigmoid(features + torch.tanh(self.body(x)) * 0.02) - torch.sigmoid(features)
        found = {"scores": self.scores(features.mean((2, 3))), "offsets": offsets}
        return {name: found[name] for name in self.order.split("-")}


def ruined(order="scores-offsets"):
    return Ruined(order, "dict")


class Detector(Net):
    """Boxes in pixels above scores in 0..1, in one output as detectors give them."""

    def forward(self, x):
        features = torch.relu(self.body(x))
        boxes, scores = self.boxes(features) * 200 + 80, torch.sigmoid(self.map(features) - 2)
        return torch.cat([boxes.flatten(2), scores.flatten(2)], 1)


def detector():
    return Detector("map", "tuple")


class Odd(Net):
    """An operator that TFLite has no rule for."""

    def forward(self, x):
        return torch.atan(self.map(torch.relu(self.body(x))))


def odd():
    return Odd("map", "tuple")
'''
