"""One registry class: discovery, duplicates, near misses."""

import sys
from dataclasses import FrozenInstanceError
from textwrap import dedent

import pytest

from edgekit.errors import EdgekitError
from edgekit.registry import ModelSpec, Preprocess, Registry, Weights, models
from edgekit.target import QuantScheme, targets


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(**modules)`: an importable package of these sources, with its own registry as `things.registry`."""
    folder = tmp_path / "things_of_this_test"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def make(**modules):
        (folder / "__init__.py").write_text("")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(dedent(text))
        return Registry("thing", folder.name)

    yield make
    for name in [name for name in sys.modules if name.startswith("things_of_this_test")]:
        del sys.modules[name]


def test_names_are_sorted_and_items_come_in_their_order(package):
    registry = package()
    for name in ("b", "a", "c"):
        registry.add(name, name.upper(), "here")
    assert registry.names() == ["a", "b", "c"]
    assert list(registry) == ["A", "B", "C"]
    assert "a" in registry
    assert "z" not in registry


def test_every_module_of_the_package_is_imported_once_but_private_ones_are_not(package):
    registry = package(one="LOADED = True", _private="raise RuntimeError('not for discovery')")
    assert registry.names() == []
    assert sys.modules["things_of_this_test.one"].LOADED
    assert "things_of_this_test._private" not in sys.modules


def test_nothing_is_imported_before_something_is_asked(package):
    package(one="")
    assert "things_of_this_test.one" not in sys.modules


def test_a_duplicate_names_both_modules(package):
    registry = package()
    registry.add("net", 1, "first.module")
    with pytest.raises(ValueError, match=r"thing 'net' is registered by first\.module and by second\.module"):
        registry.add("net", 2, "second.module")
    assert registry.get("net") == 1


def test_an_unknown_name_gets_near_misses_or_the_command_that_lists_them(package):
    registry = package()
    registry.add("resnet18", 1, "here")
    with pytest.raises(EdgekitError) as raised:
        registry.get("resnet_18")
    error = raised.value
    assert (error.code, error.what, error.where) == ("EK101", "unknown thing 'resnet_18'", "thing")
    assert error.fix == "did you mean resnet18?"
    with pytest.raises(EdgekitError) as raised:
        registry.get("zzz")
    assert raised.value.fix == "list them with: edgekit things"


def test_other_packages_add_theirs_by_an_entry_point(package, tmp_path):
    registry = package(extra="from edgekit.registry import models\nSEEN = []\ndef load():\n    SEEN.append(1)\n")
    metadata = tmp_path / "other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[things_of_this_test]\nmine = plugin_of_this_test\n")
    (tmp_path / "plugin_of_this_test.py").write_text("")
    registry.names()
    assert "plugin_of_this_test" in sys.modules
    del sys.modules["plugin_of_this_test"]


def test_models_and_targets_are_found():
    assert {"mobilenet_v2", "mobilenet_v3_small", "resnet18"} <= set(models.names())
    assert {"tflite-int8", "ort-int8", "tflite-fp32"} <= set(targets.names())
    assert all(target.name == name for name, target in zip(targets.names(), targets, strict=True))


def test_a_preprocess_at_its_own_size_is_itself_and_elsewhere_keeps_its_margin():
    feed = Preprocess(resize=232, crop=(224, 224))
    assert feed.at(224, 224) is feed
    assert (feed.at(112, 112).resize, feed.at(112, 112).crop) == (116, (112, 112))
    assert (feed.at(448, 224).resize, feed.at(448, 224).crop) == (232, (448, 224))
    assert feed.at(32, 64).mean == feed.mean


def test_integer_activations_need_calibration():
    assert QuantScheme("int8", "int8").needs_calibration
    assert QuantScheme("int8", "int16").needs_calibration
    assert not QuantScheme("int8", "float32").needs_calibration
    assert not QuantScheme("float16", "float32").needs_calibration


def test_weights_are_found_by_name_and_records_are_frozen():
    weights = Weights("imagenet", "file", "ab", Preprocess())
    spec = ModelSpec("net", lambda: None, (3, 8, 8), 0, 0, "", "", (weights,))
    assert spec.find_weights("imagenet") is weights
    assert spec.find_weights("bundled") is None
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"
