"""`edgekit train` from the command line: to a file by the run folder alone, and what is said of wrong input."""

import json
import os
import resource
import shutil
import signal

import pytest

from edgekit.cli import main
from edgekit.train.config import make_config
from edgekit.train.fit import train
from edgekit.train.run import Quiet

NET = '''
from torch import nn

def plain(num_classes=5):
    """No BatchNorm, as in VGG and AlexNet: nothing that calibration images could be distilled from."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes),
    )
'''


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NET)
    return f"{path}:plain"


@pytest.fixture
def command(class_folders, tmp_path, net):
    out = ["--out", str(tmp_path / "run")]
    sizes = ["--input-size", "16", "--epochs", "6", "--batch-size", "8", "--learning-rate", "0.02"]
    return ["train", net, "--data", str(class_folders), "--eval", str(class_folders), *sizes, *out]


def test_a_net_without_norms_is_trained_and_exported_by_its_folder(
    command, class_folders, tmp_path, monkeypatch, capfd
):
    assert main([*command, "--json"]) == 0
    printed = capfd.readouterr()
    document = json.loads(printed.out)
    assert document["run"] == str(tmp_path / "run")
    assert "epoch 6/6  16x16" in printed.err
    assert "images/s" in printed.err

    monkeypatch.chdir(tmp_path)
    assert main(["export", "run", "--target", "tflite-int8", "--quiet", "--json"]) == 0
    (target,) = json.loads(capfd.readouterr().out)["targets"]
    manifest = json.loads((tmp_path / target["bundle"] / "manifest.json").read_text())
    assert "training pictures kept with the run" in json.dumps(manifest)
    assert (tmp_path / target["bundle"] / "labels.txt").read_text() == "dark\nlight\nstriped\n"

    assert main(["eval", "run", "--data", str(class_folders), "--quiet", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["top1"]["percent"] == pytest.approx(document["top1"], abs=0.01)


def refused(arguments, capfd):
    assert main([*arguments, "--json"]) == 2
    return json.loads(capfd.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"train": None, "MODEL": "mobilnet_v2"}, "EK101", "mobilenet_v2"),
        ({"MODEL": "model.onnx"}, "EK106", "zoo model"),
        ({"MODEL": "inception_v3", "--input-size": "32"}, "EK203", "--input-size 75"),
        ({"--batch-size": "1"}, "EK106", "batches of at least 2"),
        ({"--freeze": "1"}, "EK106", "--weights"),
        ({"--schedule": "cosin"}, "EK106", "cosine"),
        ({"--accumulate": "3"}, "EK106", "divisor"),
        ({"--device": "tpu"}, "EK106", "cpu"),
        ({"--weights": "nowhere.pth"}, "EK102", "--weights"),
        ({"--data": "nowhere"}, "EK102", "folder"),
        ({"--start-size": "32"}, "EK106", "--input-size"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(changed, code, said, command, tmp_path, capfd):
    options = dict(zip(command[2::2], command[3::2], strict=True)) | {k: v for k, v in changed.items() if k[:2] == "--"}
    arguments = ["train", changed.get("MODEL", command[1]), *(word for pair in options.items() for word in pair)]
    error = refused(arguments, capfd)
    assert (error["code"], said in error["what"] + error["fix"]) == (code, True), error
    assert not (tmp_path / "run").exists()


def test_a_folder_of_a_run_goes_on_by_itself_or_says_how(command, tmp_path, capfd):
    (tmp_path / "run").mkdir()
    assert main([*command, "--quiet", "--epochs", "1"]) == 0
    capfd.readouterr()
    error = refused(["train", str(tmp_path / "run"), "--data", "x"], capfd)
    assert (error["code"], "--resume" in error["fix"]) == ("EK106", True)
    assert main(["train", str(tmp_path / "run"), "--resume", "--quiet", "--json"]) == 0
    (tmp_path / "run" / "export.toml").unlink()
    error = refused(["export", str(tmp_path / "run"), "--target", "tflite-int8"], capfd) if capfd.readouterr() else None
    assert (error["code"], "--resume" in error["fix"]) == ("EK102", True)


def test_a_run_goes_on_from_any_folder(class_folders, tmp_path, net, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--data", os.path.relpath(class_folders), "--input-size", "16", "--epochs", "1", "--quiet"]
    assert main(["train", "net.py:plain", *arguments, "--out", "run"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["train", "../run", "--resume", "--quiet"]) == 0
    assert f'model = "{tmp_path}/net.py:plain"' in (tmp_path / "run" / "export.toml").read_text()


def test_unreadable_images_are_counted_and_named(command, class_folders, tmp_path, capfd):
    shutil.copytree(class_folders, tmp_path / "images")
    (tmp_path / "images" / "dark" / "00.png").write_bytes(b"no image")
    command[command.index("--data") + 1] = str(tmp_path / "images")
    error = refused(command, capfd)
    assert (error["code"], error["rows"][0]["image"]) == ("EK108", "dark/00.png")
    assert main([*command, "--max-corrupt", "0.1", "--epochs", "1"]) == 0
    assert "1 images cannot be read and are left out: dark/00.png (not an image)" in capfd.readouterr().err
    assert "dark/00.png" in (tmp_path / "run" / "report.html").read_text()


def test_a_full_disk_costs_no_more_than_its_epoch(class_folders, tmp_path, net):
    given = {"model": net, "data": class_folders, "input_size": 16, "epochs": 3, "batch_size": 8}

    class Stop(Quiet):
        def say(self, text):
            if text.startswith("epoch 1/"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make_config(**given, out=tmp_path / "run"), Stop())
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    going_on = make_config(**given, out=tmp_path / "run", resume=True)
    child = os.fork()
    if not child:  # a disk that takes no more than a few bytes of any file
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            train(going_on, Quiet())
        except BaseException as error:  # noqa: BLE001 - a fork must never come back into pytest
            os._exit(70 if getattr(error, "code", "") == "EK702" else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 70
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    assert not list((tmp_path / "run").glob("*.part"))
    whole = train(make_config(**given, out=tmp_path / "whole"), Quiet())
    assert train(going_on, Quiet()).sha256 == whole.sha256
