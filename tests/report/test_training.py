"""How far a training is: lines where there is no terminal, a bar where there is one."""

import io

import pytest
from rich.console import Console

from edgekit.report import training
from edgekit.report.training import TrainingProgress


def spoken(monkeypatch, terminal):
    now = [0.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, highlight=False, soft_wrap=True, width=100)
    with TrainingProgress(console) as progress:
        progress.start("epoch 1/2")
        for second in range(1, 51):
            now[0] = float(second)
            progress.step(second * 10, 1000)
        progress.say("epoch 1/2  loss 2.0")
        progress.start("write the results")
        now[0] += 1.5
        progress.finish("write the results")
    return stream.getvalue()


def test_no_more_than_twenty_seconds_pass_without_a_line(monkeypatch):
    assert spoken(monkeypatch, terminal=False).splitlines() == [
        "epoch 1/2: 200 of 1,000, 10 a second, 80 s left",
        "epoch 1/2: 400 of 1,000, 10 a second, 60 s left",
        "epoch 1/2  loss 2.0",
        "done write the results  1.5 s",
    ]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_terminal_keeps_the_lines_that_stay(monkeypatch):
    text = spoken(monkeypatch, terminal=True)
    assert "epoch 1/2  loss 2.0" in text
    assert "a second" not in text
