"""Progress on stderr, and who else may hear of it."""

import pytest

from edgekit.progress import Silent
from edgekit.report.progress import TerminalProgress, shown
from edgekit.run import Clock


def test_true_is_the_terminal_and_false_is_silence():
    with shown(True) as progress:
        assert isinstance(progress, TerminalProgress)
    with shown(False) as progress:
        assert isinstance(progress, Silent)


def test_where_there_is_no_terminal_finished_stages_are_lines(capsys):
    with shown(True, "evaluate") as progress:
        progress.step(1, 2)
        progress.step(2, None)
        progress.amount(5, None)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.split()[:2] == ["done", "evaluate"]
    assert len(said.err.splitlines()) == 1


def test_a_stage_that_failed_is_not_done(capsys):
    with pytest.raises(ValueError, match="broken"), shown(True, "evaluate"):
        raise ValueError("broken")
    assert capsys.readouterr().err == ""


def test_who_is_given_hears_of_the_one_stage():
    class Heard(Silent):
        stages = ()

        def start(self, stage):
            self.stages += (f"start {stage}",)

        def finish(self, stage):
            self.stages += (f"finish {stage}",)

    heard = Heard()
    with shown(heard, "bench") as progress:
        assert progress is heard
    assert heard.stages == ("start bench", "finish bench")


def test_a_stage_of_an_export_that_failed_is_not_done(capsys):
    clock = Clock(TerminalProgress())
    with clock.stage("trace"):
        pass
    with pytest.raises(ValueError, match="broken"), clock.stage("simplify"):
        raise ValueError("broken")
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("done trace")
    assert [cost.stage for cost in clock.costs] == ["trace", "simplify"]
