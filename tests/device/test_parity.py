"""The same numbers on ARM as on this host: golden vectors on every device, through the command line."""

import json

import pytest

from edgekit.cli import main


def verify(capsys, bundle, *uris):
    devices = [word for uri in uris for word in ("--device", uri)]
    code = main(["verify", str(bundle), *devices, "--quiet", "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("target", ["tflite-int8", "ort-int8"])
def test_int8_is_bit_exact(uri, target, bundles, capsys):
    code, document = verify(capsys, bundles[target], uri)
    (row,) = document["devices"]
    assert (code, row["error"]) == (0, None)
    assert (row["machine"], row["runner"], row["like_with_like"]) == ("aarch64", "c", True)
    [output] = row["outputs"]
    assert (output["different"], output["total"], row["hop"]["passed"]) == (0, 40, True)
    assert row["hop"]["gate"] == "bit-exact: 0 of 40 values differ"
    if target == "tflite-int8":
        assert (row["delegate"], row["partitions"], row["undelegated"]) == ("XNNPACK", 1, 0)


def test_the_runner_is_put_there_once(uri, bundles, capsys):
    assert main(["devices", "setup", uri, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["devices"][0]
    assert document["runner"] == "c"
    assert len(document["installed"]) == 2
    assert main(["devices", "setup", uri]) == 0
    assert "the c runner is there" in capsys.readouterr().out


def test_an_export_ends_on_the_device(emulation, tmp_path, capsys):
    targets = ("--target", "tflite-int8", "--target", "ort-int8", "--target", "tflite-fp32")
    arguments = ["mobilenet_v3_small", *targets, "--device", "emulated:cortex-a76", "--out", str(tmp_path)]
    assert main(["export", *arguments, "--quiet", "--json"]) == 0
    for target in json.loads(capsys.readouterr().out)["targets"]:
        hop = target["parity"]["hops"][-2]
        name = target["target"]
        assert (hop["name"], hop["reference"]) == (f"{name} on emulated:cortex-a76", f"{name} on the host")
        expected = "max abs" if name == "tflite-fp32" else "bit-exact: 0 of 40 values differ"
        assert hop["gate"].startswith(expected)
        assert "emulated:cortex-a76" in (tmp_path / "mobilenet_v3_small" / name / "report.html").read_text()


def test_a_device_that_fails_does_not_hide_the_others(emulation, bundles, capsys):
    code, document = verify(capsys, bundles["tflite-int8"], "ssh://nobody@127.0.0.1:1", "emulated:pi5")
    assert code == 3
    assert [row["error"] and row["error"]["code"] for row in document["devices"]] == ["EK601", None]
    assert document["error"]["code"] == "EK601"


def test_one_command_verifies_on_every_kind_of_device(emulation, ssh_uri, adb_uri, bundles, capsys):
    uris = ["emulated:cortex-a53", "emulated:cortex-a72", "emulated:cortex-a76", ssh_uri, adb_uri]
    code, document = verify(capsys, bundles["tflite-int8"], *uris)
    assert code == 0
    assert [row["hop"]["gate"] for row in document["devices"]] == ["bit-exact: 0 of 40 values differ"] * 5
