"""Operators that a user keeps in float32, named by the PyTorch modules that they came from.

A pattern is a shell pattern for a module's dotted path, and a module is everything in it: `features.0`, `head.*` and
`layer4.*.conv2` are what they look like. An operator without a module path, as in an ONNX file of another exporter,
goes by its node's name.
"""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import onnx_ir as ir

from edgekit.errors import EdgekitError, did_you_mean
from edgekit.graph.module_path import module_of
from edgekit.quant.plan import make_plan, name_of

LISTED = 12
"""Module paths that are listed where a pattern is like none of them."""


def matching_nodes(model: ir.Model, patterns: Sequence[str]) -> tuple[str, ...]:
    """Names of the nodes that the patterns keep in float32, in graph order.

    Args:
        model: integer-ready float graph, as `prepare_integer` returns it.

    Raises:
        EdgekitError: EK106 for a pattern that no operator matches, with near misses; or when nothing is left to store
            as integers.
    """
    check_patterns(model, patterns)
    found = tuple(name_of(n) for n in model.graph if any(matches(module_of(n), pattern) for pattern in patterns))
    if found and make_plan(model).rules and not make_plan(model, found).rules:
        raise EdgekitError(
            "EK106",
            what="no operator is left to store as integers",
            where=f"--keep-float {' '.join(patterns)}",
            fix="keep fewer modules in float32, or export a float target",
        )
    return found


def check_patterns(model: ir.Model, patterns: Sequence[str]) -> None:
    """EK106 for a pattern that no operator of the graph matches, with near misses."""
    paths = [module_of(node) for node in model.graph]
    for pattern in patterns:
        if not any(matches(path, pattern) for path in paths):
            raise unmatched(pattern, paths)


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern names a module, or one that it is in. `head.*` names `head` too: its own operators."""
    names = {pattern, pattern.removesuffix(".*")}
    return any(fnmatchcase(module, name) for module in around(path) for name in names)


def around(path: str) -> Iterator[str]:
    """`a.b.c` -> a, a.b, a.b.c."""
    parts = path.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))


def unmatched(pattern: str, paths: Iterable[str]) -> EdgekitError:
    """EK106 with the module paths that are like a pattern, or with the outermost ones."""
    known = list(dict.fromkeys(module for path in paths for module in around(path)))
    outer = [module for module in known if "." not in module]
    rest = f", and {len(outer) - LISTED} more" if len(outer) > LISTED else ""
    listed = f"outermost modules with operators: {', '.join(outer[:LISTED])}{rest}"
    return EdgekitError(
        "EK106",
        what=f"no operator of the model is in {pattern!r}",
        where="--keep-float",
        fix=did_you_mean(pattern.rstrip("*").rstrip("."), known, listed),
    )
