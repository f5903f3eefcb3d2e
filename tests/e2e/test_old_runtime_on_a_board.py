"""Every TFLite file of the classic networks on an emulated Pi with tflite-runtime 2.14, through the command line."""

import json

import pytest

from edgekit.cli import main
from edgekit.devices.emulated_python import python_folder
from edgekit.errors import EdgekitError

pytestmark = pytest.mark.slow

PACKAGES = ("tflite-runtime==2.14.0", "numpy==1.26.4")
DEVICES = f"""
[devices.old-pi]
uri = "emulated:pi4"
runner = "python"
packages = {json.dumps(PACKAGES)}
"""
TARGETS = ("tflite-fp32", "tflite-fp16", "tflite-dynamic", "tflite-int8", "tflite-int16x8")


@pytest.fixture
def old_pi(tmp_path, monkeypatch) -> str:
    """The name of the device; skips where arm64 programs cannot be run or the packages cannot be had."""
    (tmp_path / "devices.toml").write_text(DEVICES)
    monkeypatch.setenv("EDGEKIT_DEVICES", str(tmp_path / "devices.toml"))
    try:
        python_folder(PACKAGES)
    except EdgekitError as error:
        pytest.skip(str(error))
    return "old-pi"


@pytest.mark.parametrize("model", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "resnet18"])
def test_every_target_runs_within_its_steps(model, export_settled, old_pi, capsys):
    code, document = export_settled(model, *TARGETS)
    assert code == 0
    for target in document["targets"]:
        code = main(["verify", target["bundle"], "--device", old_pi, "--quiet", "--json"])
        (row,) = json.loads(capsys.readouterr().out)["devices"]
        assert (code, row["error"], row["runtime_version"]) == (0, None, "2.14.0"), target["target"]
        assert row["hop"]["passed"], target["target"]
