"""Real models and images for tests, found beside the repository or by environment variable; never copied into it."""

import os
from pathlib import Path

import pytest

# Before torch is loaded: small tensors gain nothing from threads, and beside another busy process they lose everything.
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    import edgekit
except ModuleNotFoundError as error:
    raise pytest.UsageError("edgekit is not installed: pip install -c constraints.txt -e '.[dev]'") from error

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite generated documents instead of comparing with them"
    )


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether generated documents are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that the tests came from; the package under test may be installed elsewhere."""
    return REPOSITORY


@pytest.fixture(scope="session")
def package() -> Path:
    """The folder of the installed edgekit package."""
    return Path(edgekit.__file__).resolve().parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Trained weights and photographs."""
    return _folder("EDGEKIT_TEST_DATA", "data")


@pytest.fixture(scope="session")
def reference() -> Path:
    """Golden vectors and declared figures of the reference implementations."""
    return _folder("EDGEKIT_TEST_REFERENCE", "reference")


def _folder(variable: str, beside: str) -> Path:
    folder = Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / beside)
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} is missing; set {variable}")
    return folder
