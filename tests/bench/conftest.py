"""One small int8 bundle for all tests of the bench."""

from pathlib import Path

import pytest

import edgekit
from edgekit.bench.subject import Subject, subject_of
from edgekit.bundle.files import read_bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV3-Small with its bundled weights at 32 pixels, int8 TFLite."""
    out = tmp_path_factory.mktemp("build")
    run = edgekit.export("mobilenet_v3_small", target="tflite-int8", input_size="32", samples=16, out=out)
    return run.bundles["tflite-int8"]


@pytest.fixture(scope="session")
def subject(bundle_folder: Path) -> Subject:
    return subject_of(read_bundle(bundle_folder))
