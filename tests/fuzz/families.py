"""Kinds of inputs: each makes a `Case` from a `Random`, out of seeds that are made once."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import mutations
import onnx
import seeds
from judge import Case
from onnx import external_data_helper

QUIET = ("--quiet",)
"""No progress: stderr holds the error alone."""


@dataclass(frozen=True)
class Seeds:
    """Valid inputs. Args: bundles: the files of a bundle by its target."""

    plain: onnx.ModelProto
    others: tuple[onnx.ModelProto, ...]
    checkpoints: Mapping[str, bytes]
    program: bytes
    pictures: Mapping[str, bytes]
    bundles: Mapping[str, Mapping[str, bytes]]


def make_seeds(bundles: Mapping[str, Mapping[str, bytes]]) -> Seeds:
    others = (seeds.onnx_with_parts(), seeds.quantized_onnx())
    return Seeds(seeds.plain_onnx(), others, seeds.checkpoints(), seeds.program(), seeds.pictures(), bundles)


def onnx_files(given: Seeds, draw: Random) -> Case:
    model = draw.choice((given.plain, given.plain, *given.others))
    files = {"m.onnx": mutations.another_onnx(model, draw)}
    target = draw.choice(("ort-fp32", "ort-fp32", "ort-dynamic", "ort-int8", "tflite-fp32", "tflite-int8"))
    if target.endswith("int8"):
        files |= seeds.under("cal", dict(given.pictures))
        return Case(files, ("export", "m.onnx", "-t", target, "--calibration", "cal", *QUIET))
    return Case(files, ("export", "m.onnx", "-t", target, *QUIET))


def external_data(given: Seeds, draw: Random) -> Case:
    """Initializers that lie in another file, at places that may not be there."""
    model = onnx.ModelProto()
    model.CopyFrom(given.plain)
    data = b""
    for tensor in model.graph.initializer:
        offset, raw = len(data), tensor.raw_data
        external_data_helper.set_external_data(tensor, "w.bin", offset, len(raw))
        tensor.ClearField("raw_data")
        data += raw
    entry = draw.choice(draw.choice(model.graph.initializer).external_data)
    entry.value = draw.choice((*mutations.WORDS, *map(str, mutations.NUMBERS), "w.bin/", "./w.bin", "m.onnx"))
    if draw.random() < 0.2:
        data = mutations.damaged(data, draw)
    files = {"m.onnx": model.SerializeToString(), "w.bin": data}
    return Case(files, ("export", "m.onnx", "-t", "ort-fp32", *QUIET))


def checkpoint_files(given: Seeds, draw: Random) -> Case:
    name, data = draw.choice(sorted(given.checkpoints.items()))
    changed = mutations.another_archive(data, draw) if data[:2] == b"PK" else mutations.damaged(data, draw)
    return Case({"net.py": seeds.NET, name: changed}, (*seeds.NET_ARGV, "--weights", name))


def programs(given: Seeds, draw: Random) -> Case:
    files = {"m.pt2": mutations.another_archive(given.program, draw)}
    return Case(files, ("export", "m.pt2", "-t", "ort-fp32", *QUIET))


def images(given: Seeds, draw: Random) -> Case:
    pictures = dict(given.pictures)
    name = draw.choice(sorted(pictures))
    pictures[name] = mutations.damaged(pictures[name], draw)
    files = {"m.onnx": given.plain.SerializeToString()}
    if draw.random() < 0.5:
        files["data.zip"] = mutations.another_archive(seeds.archive(pictures), draw)
    else:
        files |= seeds.under("data", pictures)
    data = "data.zip" if "data.zip" in files else "data"
    if draw.random() < 0.5:
        return Case(files, ("eval", "m.onnx", "--data", data, *QUIET))
    return Case(files, ("export", "m.onnx", "-t", "ort-int8", "--calibration", data, *QUIET))


def bundles(given: Seeds, draw: Random) -> Case:
    """A file of a bundle is changed; mostly the manifest then has its new hash, as if a tool had written it."""
    files = dict(given.bundles[draw.choice(sorted(given.bundles))])
    names = ["manifest.json", "contract.json", *sorted(files)]
    name = draw.choice(names)
    if name.endswith(".json"):
        files[name] = mutations.another_document(files[name], draw)
    elif name == "model.onnx":
        files[name] = mutations.another_onnx(onnx.load_from_string(files[name]), draw)
    elif name.endswith(".npz"):
        files[name] = mutations.another_archive(files[name], draw)
    else:
        files[name] = mutations.damaged(files[name], draw)
    if name != "manifest.json" and draw.random() < 0.8:
        files["manifest.json"] = _with_hash(files["manifest.json"], name, files[name])
    command = draw.choice(
        (
            ("verify", "b", *QUIET),
            ("diagnose", "b"),
            ("android", "b", "--out", "module"),
            ("eval", "b", "--data", "data", *QUIET),
            ("bench", "b", "--runs", "1", "--min-time", "0", "--rounds", "1", "--warmup", "0", *QUIET),
        )
    )
    return Case(seeds.under("b", files) | seeds.under("data", dict(given.pictures)), command)


def _with_hash(manifest: bytes, name: str, data: bytes) -> bytes:
    document = json.loads(manifest)
    document["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    return json.dumps(document).encode()


def texts(given: Seeds, draw: Random) -> Case:
    files = {"m.onnx": given.plain.SerializeToString(), **seeds.texts(), **seeds.under("cal", dict(given.pictures))}
    name = draw.choice(("r.toml", "r.toml", "devices.toml", "labels.txt"))
    files[name] = mutations.reworded(files[name], draw)
    if name == "devices.toml":
        bundle = given.bundles["ort-fp32"]
        return Case(files | seeds.under("b", dict(bundle)), ("verify", "b", "--device", "here", *QUIET))
    return Case(files, ("export", "--recipe", "r.toml", *QUIET))


FAMILIES: Mapping[str, Callable[[Seeds, Random], Case]] = {
    family.__name__: family
    for family in (onnx_files, external_data, checkpoint_files, programs, images, bundles, texts)
}


def bundle_folders(out: Path) -> dict[str, dict[str, bytes]]:
    """Target -> the files of its bundle, of an export to `out`."""
    return {file.parent.name: seeds.read_folder(file.parent) for file in sorted(out.rglob("manifest.json"))}
