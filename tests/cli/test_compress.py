"""`edgekit compress`, and what it leaves for the other commands."""

import json

import numpy as np
import pytest
from PIL import Image

from edgekit.cli import main

MODEL = ("mobilenetv3_small_050", "--weights", "random", "--input-size", "32", "--num-classes", "4")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def compressed(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("compressed") / "small"
    assert main(["compress", *MODEL, "--ratio", "0.3", "--data", str(images), "--out", str(folder)]) == 0
    return folder


def run(capsys, *arguments):
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_is_left_is_data_that_export_takes(compressed, tmp_path, capsys):
    assert sorted(path.name for path in compressed.iterdir()) == ["manifest.json", "network.onnx"]
    manifest = json.loads((compressed / "manifest.json").read_text())
    assert manifest["after"]["macs"] < 0.7 * manifest["before"]["macs"]
    code, _ = run(capsys, "export", str(compressed), "--target", "ort-fp32", "--out", str(tmp_path))
    assert code == 0
    assert (tmp_path / "small" / "ort-fp32" / "model.onnx").is_file()


def test_the_same_options_leave_the_same_bytes(compressed, images, tmp_path):
    assert main(["compress", *MODEL, "--ratio", "0.3", "--data", str(images), "--out", str(tmp_path / "again")]) == 0
    for name in ("network.onnx", "manifest.json"):
        assert (tmp_path / "again" / name).read_bytes() == (compressed / name).read_bytes()


def test_ranks_are_lowered_and_told(images, tmp_path, capsys):
    arguments = ("--method", "low-rank", "--energy", "0.8", "--data", str(images), "--out", str(tmp_path / "low"))
    code, document = run(capsys, "compress", *MODEL, *arguments)
    assert code == 0
    assert document["ranks"]
    assert document["after"]["params"] < document["before"]["params"]


def test_sensitivity_is_measured_and_plotted(images, tmp_path, capsys):
    page = tmp_path / "plots" / "sensitivity.html"
    code, document = run(capsys, "compress", *MODEL, "--data", str(images), "--sensitivity", str(page))
    assert code == 0
    assert page.read_text().count("<polyline") == len(document["layers"]) > 10


def test_export_prunes_before_the_trace_and_shows_the_hop_first(tmp_path, capsys):
    arguments = ("--prune", "0.1", "--target", "ort-fp32", "--out", str(tmp_path))
    code, document = run(capsys, "export", *MODEL, *arguments)
    hops = document["targets"][0]["parity"]["hops"]
    assert (hops[0]["reference"], hops[0]["name"]) == ("original", "prepared")
    assert code in (0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "not told how much"),
        (("--ratio", "1.5"), "see: edgekit compress --help"),
        (("--ratio", "0.97"), "no filter"),
        (("--energy", "0.9"), "--method low-rank"),
        (("--method", "low-rank", "--ratio", "0.3"), "--method prune"),
        (("--method", "low-rank", "--energy", "0.9", "--budget", "0.5"), "each choose the ranks"),
        (("--layer", "nowhere=0.5"), "nowhere"),
        (("--layer", "0.5"), "PATTERN=NUMBER"),
        (("--ratio", "0.3", "--criterion", "taylor"), "--data DIR"),
        (("--method", "low-rank", "--rank", "classifier=999"), "no cheaper"),
        (("--sensitivity", "x.html"), "--data DIR"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(arguments, words, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["compress", *MODEL, *arguments, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "EK" in said
    assert not out.exists()


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["compress", *MODEL, "--ratio", "0.3", "--out", str(tmp_path)]) == 3
    assert "EK702" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("change", ["cut", "another", "no json", "not ours", "no shape"])
def test_a_changed_folder_is_refused(change, compressed, tmp_path, capsys):
    folder = tmp_path / "changed"
    folder.mkdir()
    graph, manifest = ((compressed / name).read_bytes() for name in ("network.onnx", "manifest.json"))
    document = json.loads(manifest)
    if change == "cut":
        graph = graph[:-100]
    elif change == "another":
        graph = graph.replace(b"edgekit", b"edgekid")
    elif change == "no json":
        manifest = manifest[:-20]
    elif change == "not ours":
        manifest = b'{"kind": "bundle"}'
    else:
        manifest = json.dumps({**document, "input_shape": [1, "x", 2, 3]}).encode()
    (folder / "network.onnx").write_bytes(graph)
    (folder / "manifest.json").write_bytes(manifest)
    assert main(["export", str(folder), "--target", "ort-fp32", "--out", str(tmp_path / "build")]) == 2
    assert "EK110" in capsys.readouterr().err


def test_another_input_size_is_refused_with_what_to_do(compressed, tmp_path, capsys):
    arguments = ("--input-size", "64", "--target", "ort-fp32", "--out", str(tmp_path))
    assert main(["export", str(compressed), *arguments]) == 2
    assert "EK203" in capsys.readouterr().err


def test_a_compressed_model_is_not_written_over_itself(compressed, capsys):
    assert main(["compress", str(compressed), "--ratio", "0.2", "--out", str(compressed)]) == 2
    assert "EK106" in capsys.readouterr().err


def test_a_compressed_model_is_compressed_further(compressed, tmp_path):
    assert main(["compress", str(compressed), "--ratio", "0.2", "--out", str(tmp_path / "smaller")]) == 0
    first, second = (json.loads((f / "manifest.json").read_text()) for f in (compressed, tmp_path / "smaller"))
    assert second["before"]["macs"] == first["after"]["macs"] > second["after"]["macs"]
