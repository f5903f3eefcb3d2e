"""kill -9 at any instant, then --resume: the same bits in the end.

The runs are forks of this process, so that torch is loaded once. Each is killed at another moment: while it decodes, in
the middle of an epoch, while the checkpoint is written, between the last epoch and the results.
"""

import os
import random
import shutil
import signal
import time

import pytest

from edgekit.train.config import make_config
from edgekit.train.fit import train
from edgekit.train.run import Quiet

NET = """
from torch import nn

def tiny(num_classes=5):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes),
    )
"""
EPOCHS, KILLS = 6, 5


@pytest.fixture
def choices(class_folders, tmp_path):
    net = tmp_path / "net.py"
    net.write_text(NET)
    given = {"model": f"{net}:tiny", "data": class_folders, "val_share": 0.2, "epochs": EPOCHS, "batch_size": 8}
    return {**given, "input_size": 16, "mixup": 0.2, "erasing": 0.5}


def forked(config):
    """Start a run in a fork; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        train(config, Quiet())
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a fork must never come back into pytest
        os._exit(1)


def killed(child, after_s):
    """Kill a run after so many seconds; whether it was still running."""
    end = time.monotonic() + after_s
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def ended(child):
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_five_killed_runs_end_with_the_bits_of_one_that_was_left_alone(choices, tmp_path):
    started = time.monotonic()
    ended(forked(make_config(**choices, out=tmp_path / "whole")))
    whole_s = time.monotonic() - started
    moments = random.Random(0)
    for number in range(KILLS):
        run = tmp_path / f"killed{number}"
        after_s = moments.uniform(0.1, 0.95) * whole_s
        while not killed(forked(make_config(**choices, out=run)), after_s):
            shutil.rmtree(run)  # it was faster than the first one
            after_s *= 0.8
        ended(forked(make_config(**choices, out=run, resume=True)))
        same_results(run, tmp_path / "whole")


def same_results(run, whole):
    for name in ("weights.safetensors", "card.md", "export.toml", "labels.txt", "calibration.npz"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    losses = [
        [line.split(",")[:4] for line in (folder / "metrics.csv").read_text().splitlines()] for folder in (run, whole)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == EPOCHS + 1
