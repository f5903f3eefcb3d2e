"""Nodes and the modules that they came from: one key, written in one place."""

import onnx_ir as ir
import pytest

from edgekit.graph.module_path import MODULE_KEY, module_of, path_of


@pytest.mark.parametrize(
    ("metadata", "path", "found"),
    [({MODULE_KEY: "features.0"}, "features.0", "features.0"), ({MODULE_KEY: ""}, "", "conv_3"), ({}, "", "conv_3")],
)
def test_a_node_is_found_by_its_modules_path_or_by_its_own_name(metadata, path, found):
    node = ir.node("Conv", [], name="conv_3", metadata_props=metadata)
    assert (path_of(node), module_of(node)) == (path, found)
    assert path_of(None) == ""


def test_the_key_that_files_carry_is_spelled_once(repository):
    """Files of earlier versions have it, and `edgekit diagnose` reads them."""
    sources = [path for folder in ("edgekit", "targets") for path in (repository / folder).rglob("*.py")]
    spelled = [path.name for path in sources if f'"{MODULE_KEY}"' in path.read_text(encoding="utf-8")]
    assert (MODULE_KEY, spelled) == ("edgekit.module", ["module_path.py"])
