"""The pytest plugin: fixtures `edgekit_device` and `exported`, options --edgekit-device, -baseline and -history.

Loaded with every pytest that has edgekit installed: nothing heavy is imported before a fixture is used.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.testing.under_test import UnderTest

if TYPE_CHECKING:
    from torch import nn

    from edgekit.bundle.files import Bundle

USUAL_DEVICE = "emulated:cortex-a76"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("edgekit", "on-device tests")
    group.addoption(
        "--edgekit-device",
        metavar="D",
        help=f"a name from devices.toml or a URI, see: edgekit devices  [default: {USUAL_DEVICE}]",
    )
    group.addoption("--edgekit-baseline", metavar="F", type=Path, help="results to compare with")
    group.addoption("--edgekit-history", metavar="F", type=Path, help="append this session's results to F")


def pytest_configure(config: pytest.Config) -> None:
    """A baseline that is not there is told before any test runs, as a wrong option is."""
    file = config.getoption("--edgekit-baseline")
    if file is not None and not file.is_file():
        raise pytest.UsageError(
            f"no results in {file}: write them first, with --edgekit-history {file}, or leave --edgekit-baseline out"
        )


@pytest.fixture(scope="session")
def edgekit_device(request: pytest.FixtureRequest) -> Iterator[UnderTest]:
    """The device of this session, held until its end.

    A device that was named and is not there is an error. Without a name it is an emulated ARM core, and where that
    cannot be had on this host, tests skip with the reason.
    """
    from edgekit.bench.history import read
    from edgekit.devices.run_model import open_device
    from edgekit.errors import EdgekitError

    named = request.config.getoption("--edgekit-device")
    file = request.config.getoption("--edgekit-baseline")
    baseline = None if file is None else read(file)
    with ExitStack() as stack:
        try:
            device = stack.enter_context(open_device(named or USUAL_DEVICE))
        except EdgekitError as error:
            if named or error.code != "EK609":
                raise
            pytest.skip(str(error))
        yield UnderTest(device, baseline, request.config.getoption("--edgekit-history"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., Bundle]":
    """A function like edgekit.export that gives the bundle: `exported("mobilenet_v2", target="tflite-int8", ...)`.

    The same arguments are exported once per session; a module in memory is the same while it is the same object.
    """
    made: dict[str, Bundle] = {}
    held: list[object] = []  # what is known by its id must not make room for another

    def export(model: "str | Path | nn.Module", *, target: str, **choices: Any) -> "Bundle":
        import edgekit

        key = json.dumps([model, target, choices], sort_keys=True, default=lambda o: id(o) if callable(o) else str(o))
        if key not in made:
            run = edgekit.export(model, target=target, out=tmp_path_factory.mktemp("edgekit"), **choices)
            run.raise_for_failures()
            made[key] = edgekit.read_bundle(run.bundles[target])
            held.append((model, choices))
        return made[key]

    return export
