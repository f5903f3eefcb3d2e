"""The instruction gate on the emulated core, through the pytest plugin as a user has it."""

import json
import shutil

import pytest

from edgekit.bench import instructions
from edgekit.testing import assert_instructions, assert_parity

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, extra):
        super().__init__()
        self.body = nn.Sequential(*(layer for _ in range(4) for layer in (nn.Conv2d(32, 32, 3, padding=1), nn.ReLU())))
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.extra = nn.Linear(32, 32 * extra)
        self.head = nn.Linear(32 * extra, 10)

    def forward(self, x):
        x = torch.flatten(self.pool(self.body(self.first(x))), 1)
        return self.head(torch.relu(self.extra(x)))

def net():
    torch.manual_seed(0)
    return Net({extra})
"""
ALIKE, SLOWER = 8, 128
"""Widths of a layer; the wider one makes an inference take one percent more instructions."""


@pytest.fixture(scope="module", autouse=True)
def compiler():
    if shutil.which("cc") is None:
        pytest.skip("cc not installed")


@pytest.fixture(scope="module")
def make(exported, tmp_path_factory):
    """A function: width of the one layer -> a bundle; all have the same name."""

    def bundle(width):
        file = tmp_path_factory.mktemp("net") / "net.py"
        file.write_text(SOURCE.replace("{extra}", str(width)))
        return exported(f"{file}:net", target="tflite-fp32", input_size="32")

    return bundle


@pytest.fixture(scope="module")
def baseline(make, edgekit_device, tmp_path_factory):
    """The first network's result, as a history holds it."""
    document = assert_instructions(make(ALIKE), edgekit_device, at_most=10**12)
    file = tmp_path_factory.mktemp("baseline") / "main.jsonl"
    file.write_text(json.dumps(document) + "\n")
    return file


def test_an_unchanged_file_passes(make, edgekit_device, baseline):
    document = assert_instructions(make(ALIKE), edgekit_device, baseline=baseline)
    before = json.loads(baseline.read_text())
    assert document["summary"]["instructions"] == pytest.approx(before["summary"]["instructions"], rel=1e-5)
    assert document["sha256"] == before["sha256"]


def test_a_file_with_one_percent_more_work_fails(make, edgekit_device, baseline):
    with pytest.raises(pytest.fail.Exception, match=r"slower: \+(0\.9|1\.[01])\d\d?% 0\.2% allowed"):
        assert_instructions(make(SLOWER), edgekit_device, baseline=baseline)


@pytest.mark.slow
def test_an_unchanged_file_passes_twenty_times(make, edgekit_device, baseline):
    found = {
        assert_instructions(make(ALIKE), edgekit_device, baseline=baseline)["summary"]["instructions"]
        for _ in range(20)
    }
    assert max(found) / min(found) - 1 <= instructions.REPEATABLE


def test_the_bundled_model_gives_the_same_bits_there(exported, edgekit_device):
    row = assert_parity(exported("mobilenet_v3_small", target="tflite-int8"), edgekit_device)
    assert row.like
    assert [found.different for found in row.differences] == [0]
