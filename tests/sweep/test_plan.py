"""What a sweep's file says, and the front of what came of it."""

import json

import pytest

from edgekit.errors import EdgekitError
from edgekit.sweep.front import front
from edgekit.sweep.plan import read_plan

PLAN = """
models = ["squeezenet1_1", "mobilenet_v2"]
methods = ["none", "prune", "low-rank", "own"]
ratios = [0.2, 0.5]
sizes = [32, "48x64"]
targets = "ort-fp32"
[method.own]
prune = 0.3
criterion = "l2"
"""


def plan_of(tmp_path, text=PLAN):
    file = tmp_path / "plan.toml"
    file.write_text(text)
    return read_plan(file)


def test_every_combination_is_a_cell_once(tmp_path):
    cells = list(plan_of(tmp_path))
    assert len(cells) == 2 * 2 * (1 + 2 + 2 + 1)  # a method without a ratio is there once
    assert len({cell.key for cell in cells}) == len(cells)


def test_a_ratio_is_what_goes_for_both_methods(tmp_path):
    tables = {(c.method, c.ratio): json.loads(c.recipe).get("compress") for c in plan_of(tmp_path)}
    assert tables["prune", 0.2] == {"prune": 0.2}
    assert tables["low-rank", 0.2] == {"budget": 0.8}
    assert tables["own", None] == {"prune": 0.3, "criterion": "l2"}
    assert tables["none", None] is None


def test_the_key_of_a_cell_is_that_of_its_choices(tmp_path):
    first, again = (list(plan_of(tmp_path)) for _ in range(2))
    assert [cell.key for cell in first] == [cell.key for cell in again]
    seeded = list(plan_of(tmp_path, "seed = 1\n" + PLAN))
    assert not {cell.key for cell in first} & {cell.key for cell in seeded}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models = [", "TOML"),
        ('targets = "ort-fp32"', "models is missing"),
        ('models = "a"\ntargets = "ort-fp32"\nmethod = "x"', "method"),
        ('models = "a"\ntargets = "ort-fp32"\nmethods = ["prun"]', "no method 'prun'"),
        ('models = "a"\ntargets = "ort-fp32"\nmethods = ["prune"]\nratios = [1.5]', "prune"),
        ('models = []\ntargets = "ort-fp32"', "empty"),
        ('models = "a"\ntargets = "ort-fp32"\n[method.x]\nprun = 0.3', "'prun'"),
        ('models = "a"\ntargets = "ort-fp32"\nsizes = "large"', "size"),
    ],
)
def test_mistakes_are_told(text, words, tmp_path):
    with pytest.raises(EdgekitError, match="EK106") as refused:
        plan_of(tmp_path, text)
    assert words in str(refused.value)


def cell(agreement, macs, size, device="local"):
    return {"agreement": agreement, "macs": macs, "size_bytes": size, "device": device}


def test_the_front_is_what_no_other_beats():
    documents = [cell(0.9, 10, 5), cell(0.8, 5, 5), cell(0.8, 6, 6), cell(0.9, 10, 6), cell(0.7, 9, 1)]
    assert front(documents) == [True, True, False, False, True]


def test_equal_cells_do_not_beat_each_other_and_devices_are_not_compared():
    assert front([cell(0.9, 10, 5), cell(0.9, 10, 5)]) == [True, True]
    assert front([cell(0.9, 10, 5), cell(0.5, 99, 9, "pi4")]) == [True, True]


def test_a_cell_without_a_figure_is_on_no_front():
    assert front([cell(None, 10, 5), cell(0.5, 20, 9)]) == [False, True]
