"""A net learns a teacher's answers: the formula, what the teacher is fed, and which teachers are refused."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgekit.errors import EdgekitError
from edgekit.registry import Preprocess
from edgekit.train.config import make_config
from edgekit.train.distil import Distillation, Teacher
from edgekit.train.fit import train
from edgekit.train.run import Quiet
from edgekit.train.task import Batch, Classification

FEED = Preprocess(8, (8, 8), mean=(0.5,) * 3, std=(0.25,) * 3, labels=None)
NET = """
from torch import nn

def tiny(num_classes=5, width=4):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes),
    )
"""


def linear(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))


def test_the_loss_is_the_formula():
    images, labels = torch.rand(6, 3, 8, 8), torch.arange(6) % 4
    teacher, net = linear(1), linear(2)
    task = Distillation(Classification(0.1), Teacher(teacher, FEED, ""), FEED, temperature=3.0, share=0.7)
    found = task.loss(net(images), Batch(images, labels))
    p, q = ((module(images) / 3).softmax(1) for module in (teacher, net))
    soft = 9 * (p * (p / q).log()).sum(1).mean()
    hard = F.cross_entropy(net(images), labels, label_smoothing=0.1)
    assert float(found.detach()) == pytest.approx(float((0.3 * hard + 0.7 * soft).detach()), rel=1e-5)
    found.backward()
    assert teacher[2].weight.grad is None


def test_the_teacher_is_fed_its_own_normalisation_size_and_order():
    unit = torch.rand(2, 3, 8, 8)
    own = replace(FEED, crop=(16, 16), mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.7), channel_order="BGR")
    seen = []
    module = nn.Sequential(nn.Identity(), linear(1))
    module[0].register_forward_hook(lambda part, inputs, output: seen.append(output))
    Teacher(module, own, "").logits((unit - 0.5) / 0.25, FEED)
    larger = F.interpolate(unit.flip(1), size=(16, 16), mode="bilinear", align_corners=False)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (own.mean, own.std))
    assert torch.allclose(seen[0], (larger - mean) / std, atol=1e-5)


def test_a_run_is_the_teacher_of_another_and_one_of_other_classes_is_refused(class_folders, tmp_path):
    (tmp_path / "net.py").write_text(NET)
    given = {"model": f"{tmp_path}/net.py:tiny", "data": class_folders, "epochs": 1, "batch_size": 8, "input_size": 16}
    teacher = train(make_config(**given, model_args={"width": 16}, out=tmp_path / "teacher"), Quiet())
    alone = train(make_config(**given, out=tmp_path / "alone"), Quiet())
    taught = train(make_config(**given, out=tmp_path / "taught", teacher=str(teacher.folder)), Quiet())
    assert taught.sha256 != alone.sha256
    assert 'teacher = "' in (taught.folder / "recipe.toml").read_text()
    (teacher.folder / "labels.txt").write_text("dark\nlight\ndotted\n")
    with pytest.raises(EdgekitError) as caught:
        train(make_config(**given, out=tmp_path / "other", teacher=str(teacher.folder)), Quiet())
    assert caught.value.code == "EK109"
    assert not (tmp_path / "other").exists()
    with pytest.raises(EdgekitError) as caught:
        make_config(**given, teacher_weights="imagenet")
    assert caught.value.code == "EK106"
