"""Files with two and three outputs on ARM: each output by its name and equal to this host's, in every order."""

from contextlib import ExitStack

import pytest
from heads import NAMES, ORDERS, subject_in

from edgekit.devices.emulated_python import packages_of_host, python_folder
from edgekit.devices.run_model import open_device
from edgekit.errors import EdgekitError
from edgekit.target import targets
from edgekit.verify.device import check_device

TARGETS = ("tflite-int8", "ort-int8")
TIMEOUT_S = 120
PYTHON = """
[devices.python-pi]
uri = "emulated:pi5"
runner = "python"
"""


@pytest.fixture(scope="module")
def held():
    """`held(uri)`: the device, opened once for all orders."""
    with ExitStack() as stack:
        opened = {}

        def hold(uri):
            if uri not in opened:
                opened[uri] = stack.enter_context(open_device(uri))
            return opened[uri]

        yield hold


@pytest.fixture(params=["emulated:cortex-a76", "ssh"])
def device(request, emulation, held):
    """An emulated core, and a board behind a connection."""
    return held(request.getfixturevalue("ssh_uri") if request.param == "ssh" else request.param)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_every_output_is_bit_exact_under_its_name(order, target, device, tmp_path):
    row = check_device(device, subject_in(tmp_path, order, target), TIMEOUT_S)
    assert (row.result.runner, row.result.machine, row.like) == ("c", "aarch64", True)
    assert [(found.output, found.different) for found in row.differences] == [(name, 0) for name in order]
    assert [found.output for found in row.hop.outputs] == list(order)
    assert all(found.passed and found.gate.startswith("bit-exact: 0 of ") for found in row.hop.outputs)


@pytest.mark.parametrize("target", ["tflite-fp32", "ort-fp32", "tflite-int16x8"])
def test_every_output_has_a_gate_of_its_own(target, device, tmp_path):
    row = check_device(device, subject_in(tmp_path, NAMES, target), TIMEOUT_S)
    unit = "SQNR" if target == "tflite-int16x8" else "max abs"
    assert [(found.output, found.gate.startswith(unit)) for found in row.hop.outputs] == [(n, True) for n in NAMES]
    assert row.hop.passed


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]], ids="-".join)
def test_the_python_runner_reads_every_output_there(order, target, emulation, tmp_path, monkeypatch):
    try:
        python_folder(packages_of_host(targets.get(target).runtime))
    except EdgekitError as error:
        pytest.skip(str(error))
    (tmp_path / "devices.toml").write_text(PYTHON)
    monkeypatch.setenv("EDGEKIT_DEVICES", str(tmp_path / "devices.toml"))
    with open_device("python-pi") as python_pi:
        row = check_device(python_pi, subject_in(tmp_path, order, target), TIMEOUT_S)
    assert (row.result.runner, row.result.machine) == ("python", "aarch64")
    assert [(found.output, found.different) for found in row.differences] == [(name, 0) for name in order]
