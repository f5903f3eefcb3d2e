"""The Python runner on an emulated Pi: the runtimes of this host, and the old one that boards still carry."""

import json

import pytest

from edgekit.bundle.files import read_bundle
from edgekit.cli import main
from edgekit.devices.emulated_python import packages_of_host, python_folder
from edgekit.errors import EdgekitError
from edgekit.target import targets

OLD = ("tflite-runtime==2.14.0", "numpy==1.26.4")
DEVICES = f"""
[devices.old-pi]
uri = "emulated:pi4"
runner = "python"
packages = {json.dumps(OLD)}

[devices.new-pi]
uri = "emulated:pi5"
runner = "python"
"""


@pytest.fixture
def verified(emulation, tmp_path, monkeypatch, capsys):
    """`verified(bundle, device)`: exit code and the device's row."""
    (tmp_path / "devices.toml").write_text(DEVICES)
    monkeypatch.setenv("EDGEKIT_DEVICES", str(tmp_path / "devices.toml"))

    def run(bundle, device):
        try:
            this = packages_of_host(targets.get(read_bundle(bundle).target).runtime)
            python_folder(OLD if device == "old-pi" else this)
        except EdgekitError as error:
            pytest.skip(str(error))
        code = main(["verify", str(bundle), "--device", device, "--quiet", "--json"])
        return code, json.loads(capsys.readouterr().out)["devices"][0]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite-int8", "ort-int8"])
def test_the_python_runner_gives_the_same_bits(target, verified, bundles):
    code, row = verified(bundles[target], "new-pi")
    assert (code, row["runner"], row["machine"], row["like_with_like"]) == (0, "python", "aarch64", True)
    assert [output["different"] for output in row["outputs"]] == [0]


@pytest.mark.slow
def test_the_old_runtime_runs_the_file_with_its_own_kernels(verified, bundles):
    code, row = verified(bundles["tflite-int8"], "old-pi")
    assert (code, row["runtime"], row["runtime_version"]) == (0, "tflite-runtime", "2.14.0")
    assert (row["delegate"], row["like_with_like"]) == ("none", False)
    assert row["hop"]["agreement"] == 1.0
