"""Native code that ends the process ends a copy of it."""

import os
import time

import pytest

from edgekit.source import guarded
from edgekit.source.guarded import ending


def test_what_comes_back_or_raises_is_left_to_the_process():
    assert ending(lambda: None) == ""
    assert ending(lambda: 1 / 0) == ""


@pytest.mark.parametrize(("work", "said"), [(os.abort, "SIGABRT"), (lambda: os.kill(os.getpid(), 9), "SIGKILL")])
def test_a_crash_is_named_and_says_nothing_else(work, said, capfd):
    assert ending(work) == said
    assert capfd.readouterr() == ("", "")


def test_work_without_an_end_is_ended(monkeypatch):
    monkeypatch.setattr(guarded, "LIMIT_S", 0.1)
    assert ending(lambda: time.sleep(60)) == "no end after 0.1 s"
