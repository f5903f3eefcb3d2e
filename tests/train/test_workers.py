"""Several processes share each batch: the same run as one process."""

import csv
import os
import subprocess
import sys

import pytest
import torch

from edgekit.errors import EdgekitError
from edgekit.train.config import make_config
from edgekit.train.workers import ALONE, chosen_device

NET = """
from torch import nn

def tiny(num_classes=5):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes),
    )
"""


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(class_folders, tmp_path):
    """gloo, half of each batch in each process. A net without BatchNorm: its statistics are of what a process sees."""
    (tmp_path / "net.py").write_text(NET)
    options = ["train", f"{tmp_path}/net.py:tiny", "--data", str(class_folders), "--epochs", "4", "--input-size", "16"]
    options += ["--batch-size", "8", "--rand-augment", "5", "--val-share", "0.2", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "edgekit"]
    for name, start in (("one", ["-m", "edgekit"]), ("two", two)):
        command = [sys.executable, *start, *options, "--out", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    rows = [list(csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())) for name in ("one", "two")]
    assert len(rows[0]) == len(rows[1]) == 4
    for one, other in zip(*rows, strict=True):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), abs=1e-4)
        assert one["top1"] == other["top1"]


def test_one_process_sums_and_wraps_nothing():
    module = torch.nn.Linear(2, 2)
    assert ALONE.wrap(module) is module
    assert ALONE.total(torch.tensor(3.0)) == 3
    assert ALONE.first


@pytest.mark.parametrize("device", ["cuda", "tpu"])
def test_a_device_that_there_is_not_is_refused(class_folders, device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(EdgekitError) as caught:
        chosen_device(make_config(model="net", data=class_folders, device=device))
    assert caught.value.code == "EK106"
