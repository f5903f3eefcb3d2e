"""Cross entropy with smoothed labels, and the floor that its docstring states."""

import math

import pytest
import torch
from torch.nn import functional as F

from edgekit.train.task import Batch, Classification

LABELS = torch.tensor([0, 1, 2, 3])
LOGITS = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_the_loss_is_the_formula():
    smoothing, classes = 0.1, 5
    q = torch.full((4, classes), smoothing / classes)
    q[range(4), LABELS] += 1 - smoothing
    wanted = -(q * LOGITS[0].log_softmax(1)).sum(1).mean()
    assert float(Classification(smoothing).loss(LOGITS[0], Batch(LOGITS, LABELS))) == pytest.approx(float(wanted))


@pytest.mark.parametrize(("smoothing", "classes"), [(0.1, 10), (0.1, 1000), (0.3, 2), (0.0, 10)])
def test_no_net_gets_below_the_entropy_of_the_labels(smoothing, classes):
    q = torch.full((classes,), smoothing / classes)
    q[0] += 1 - smoothing
    best = q.clamp(min=1e-20).log()[None]  # logits whose softmax is the target
    loss = float(Classification(smoothing).loss(best, Batch(best, torch.tensor([0]))))
    assert loss == pytest.approx(Classification(smoothing).floor(classes), abs=1e-5)


def test_the_floor_of_the_docstring():
    assert Classification(0.1).floor(10) == pytest.approx(0.5003, abs=1e-4)
    assert Classification(0.0).floor(10) == 0


def test_auxiliary_heads_count_beside_the_network_itself():
    alone, *heads = (F.cross_entropy(each, LABELS, label_smoothing=0.1) for each in LOGITS)
    found = Classification(0.1).loss(tuple(LOGITS), Batch(LOGITS, LABELS))
    assert float(found) == pytest.approx(float(alone + 0.3 * sum(heads)))


def test_shares_of_classes_are_targets_too():
    one_hot = F.one_hot(LABELS, 5).float()
    same = [Classification(0.1).loss(LOGITS[0], Batch(LOGITS, targets)) for targets in (LABELS, one_hot)]
    assert math.isclose(*map(float, same), rel_tol=1e-6)


def test_a_right_answer_counts_a_hundred():
    logits = F.one_hot(torch.tensor([0, 1, 2, 0]), 5).float()
    assert float(Classification().merit(logits, Batch(logits, LABELS))) == 300
