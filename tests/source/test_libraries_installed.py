"""`torchvision:NAME` and `timm:NAME` with the real libraries, in an environment of their own.

torchvision belongs to one build of torch, which is not the one that the other tests run with.
"""

import json
import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

from edgekit.registry import models

pytestmark = pytest.mark.slow

LIBRARIES = ("torch==2.14.1", "torchvision==0.29.1", "timm==1.0.31")
SIZE = ["--input-size", "64", "--quiet", "--json"]


@pytest.fixture(scope="session")
def python(repository, tmp_path_factory) -> Path:
    """The interpreter of an environment with both libraries and edgekit."""
    folder = tmp_path_factory.mktemp("libraries")
    venv.create(folder, with_pip=True)
    constraints = folder / "constraints.txt"
    pinned = [line for line in (repository / "constraints.txt").read_text().splitlines() if "torch" not in line]
    constraints.write_text("\n".join(pinned))
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    # In this order: what edgekit asks for is met by what is there already.
    for arguments in (LIBRARIES, ("-c", str(constraints), str(repository))):
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True, timeout=3000)
        if done.returncode:
            pytest.skip(f"pip cannot install {arguments}: {done.stderr.strip().splitlines()[-1:]}")
    return folder / "bin" / "python"


@pytest.fixture
def export(python, tmp_path):
    """A function: model and options -> (exit code, the JSON document, golden vectors of tflite-fp32)."""

    def run(model: str, *options: str, targets: tuple[str, ...] = ("tflite-fp32",)):
        out = tmp_path / model.replace(":", "-")
        wanted = [word for name in targets for word in ("--target", name)]
        command = [str(python), "-m", "edgekit", "export", model, *options, *SIZE, *wanted, "--out", str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600)
        golden = next(out.rglob("tflite-fp32/golden.npz"), None)
        return done.returncode, json.loads(done.stdout), golden and dict(np.load(golden))

    return run


@pytest.mark.parametrize("model", ["torchvision:mobilenet_v3_small", "timm:mobilenetv3_small_050", "timm:resnet18"])
def test_a_model_of_the_library_is_exported(model, export):
    code, document, golden = export(model, "--weights", "random", targets=("tflite-fp32", "ort-fp32"))
    assert code == 0
    assert [target["parity"]["passed"] for target in document["targets"]] == [True, True]
    assert golden["outputs"].shape == (4, 1000)


def test_the_zoo_equals_torchvision_with_the_same_weights(export, test_data):
    weights = ("--weights", str(test_data / "weights" / "mobilenet_v2-b0353104.pth"))
    _, _, theirs = export("torchvision:mobilenet_v2", *weights)
    _, _, ours = export("mobilenet_v2", *weights)
    assert np.array_equal(theirs["inputs"], ours["inputs"])
    assert np.allclose(theirs["reference"], ours["reference"], atol=1e-4)


def test_timms_names_load_into_the_zoo(python, export, tmp_path):
    file = tmp_path / "timm.safetensors"
    script = (
        "import timm, torch; from safetensors.torch import save_file; torch.manual_seed(0);"
        "save_file(timm.create_model('mobilenetv2_100').state_dict(), 'timm.safetensors')"
    )
    subprocess.run([str(python), "-c", script], cwd=tmp_path, check=True, timeout=300)
    _, _, theirs = export("timm:mobilenetv2_100", "--weights", str(file))
    code, _, ours = export("mobilenet_v2", "--weights", str(file))
    assert code == 0
    assert np.allclose(theirs["reference"], ours["reference"], atol=1e-4)


UNPROVEN_BY_GOLDEN = (
    *("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7"),
    *(f"tf_efficientnet_{size}" for size in ("b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "l2")),
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "efficientnet_lite3", "efficientnet_lite4"),
    *("seresnet50", "seresnet101", "seresnet152"),
    *("legacy_seresnet50", "legacy_seresnet101", "legacy_seresnet152", "senet154"),
)
"""Models that golden vectors say nothing about: none are kept, or float32 cannot hold them."""

COMPARE = """
import gc, sys, timm, torch, torchvision
from golden_vectors import entries, fill, golden_input
from edgekit.registry import models

library, theirs, ours, pixels = sys.argv[1:]
image = golden_input(int(pixels)).double()
build = {"torchvision": torchvision.models.get_model, "timm": timm.create_model}[library]
reference = build(theirs)
named = entries(reference)

def logits(module):
    with torch.inference_mode():
        return fill(module, named).double()(image)[0]

expected = logits(reference)
del reference
gc.collect()
found = logits(models.get(ours).build())
print(float((found - expected).abs().max() / expected.std()))
"""
LARGEST_PIXELS = 300
THEIR_NAMES = {"legacy_seresnet152": "timm/legacy_seresnet152"}
THEIR_NAMES |= {f"efficientnet_lite{size}": f"timm/tf_efficientnet_lite{size}" for size in range(5)}


@pytest.mark.parametrize("name", UNPROVEN_BY_GOLDEN)
def test_the_zoo_equals_the_library_in_float64(name, python, repository, tmp_path):
    spec = models.get(name)
    library, theirs = THEIR_NAMES.get(name, spec.reference).split("/")
    pixels = min(spec.input_shape[1], LARGEST_PIXELS)
    command = [str(python), "-W", "ignore", "-c", COMPARE, library, theirs, name, str(pixels)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository / "tests" / "models")}
    # Not in the checkout, whose folders would hide the installed package.
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-6


def test_official_weights_without_a_network_are_one_clear_error(export):
    code, document, _ = export("torchvision:resnet18", "--weights", "imagenet")
    assert (code, document["error"]["code"]) in ((2, "EK105"), (0, None))
    if code:
        assert "--weights FILE" in document["error"]["fix"]
