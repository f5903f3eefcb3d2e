"""EfficientNet-Lite: the derivation of its sizes, and its trained file against the class that it was saved from."""

import numpy as np
import pytest
import torch
from golden_vectors import entries
from lite import derived_counts, derived_entries
from torch import nn

from edgekit.images.folder import ImageFolder
from edgekit.models import _efficientnet
from edgekit.models._blocks import make_divisible
from edgekit.models._inverted import SamePadConv2d
from edgekit.models.efficientnet_lite import efficientnet_lite0, scale_stages
from edgekit.recipe import make_recipe
from edgekit.registry import models
from edgekit.source.checkpoint import file_sha256, read_checkpoint
from edgekit.source.weights import load_weights
from edgekit.verify.evaluate import Selection, evaluate_model

FILE = "efficientnet-lite0-57934424.pth"
README = {0: (4.7, 407), 1: (5.4, 631), 2: (6.1, 899), 3: (8.2, 1440), 4: (13.0, 2640)}
"""The authors' table: millions of parameters, and of multiply-adds by a count of their own."""

LOGITS = (9.89809, 6.50029, 1.98929, 1.92768, 1.81952, 1.25076, 0.74015, -0.90559)
"""The first eight that efficientnet-lite-pytorch 0.1.0 gives for the first photograph."""


@pytest.fixture(scope="module")
def trained(test_data):
    """(record, our network with the trained file in it, path)."""
    path = test_data / "weights" / FILE
    record = models.get("efficientnet_lite0").find_weights("ml-illustrated")
    assert file_sha256(path) == record.sha256
    module = efficientnet_lite0().eval()
    load_weights(module, read_checkpoint(path).tensors, path.name)
    return record, module, path


@pytest.fixture(scope="module")
def photographs(test_data, trained):
    """f32[20, 3, 224, 224], and their classes."""
    folder = ImageFolder.open(test_data / "images" / "imagenet1000")
    (images,) = folder[::50].batches(trained[0].preprocess, 20)
    return torch.from_numpy(images), np.arange(0, 1000, 50)


@pytest.mark.parametrize("size", [0, 4])
def test_the_derivation_gives_the_measured_sizes(size, reference, facts):
    row = facts[f"timm/tf_efficientnet_lite{size}"]
    assert derived_counts(reference, size, row["resolution"]) == (row["params"], row["macs_incl_matmul"])
    assert len(derived_entries(reference, size)) == row["n_tensors"]


@pytest.mark.parametrize("size", README)
def test_every_size_is_what_its_authors_table_says(size):
    spec = models.get(f"efficientnet_lite{size}")
    millions, _ = README[size]
    assert round(spec.params / 1e6, 1) == millions


@pytest.mark.parametrize("size", [0, 1, 2])
def test_multiply_adds_are_the_authors_within_a_twentieth(size):
    """Lite3 and Lite4 are counted there at 280 and 300 pixels; their weights are for 300 and 380."""
    assert models.get(f"efficientnet_lite{size}").macs / 1e6 == pytest.approx(README[size][1], rel=0.06)


def test_only_the_middle_stages_grow():
    for size in range(5):
        stages = scale_stages(getattr(_efficientnet, f"B{size}"))
        assert [len(stages[0]), len(stages[-1])] == [1, 1]
        assert all(not row.squeezed and row.outputs == make_divisible(row.outputs) for stage in stages for row in stage)


def test_there_is_no_squeeze_excite_and_every_activation_is_relu6():
    kinds = {type(part) for part in efficientnet_lite0().modules() if not list(part.children())}
    assert kinds == {nn.Conv2d, SamePadConv2d, nn.BatchNorm2d, nn.ReLU6, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Linear}


def test_every_tensor_of_the_trained_file_arrives(trained):
    _, module, path = trained
    given = [value for key, value in read_checkpoint(path).tensors.items() if "num_batches_tracked" not in key]
    held = [value for key, value in module.state_dict().items() if "num_batches_tracked" not in key]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(held, given, strict=True))
    assert len(entries(module)) == 296


def test_logits_are_those_of_the_class_that_the_file_was_saved_from(trained, photographs):
    package = pytest.importorskip(
        "efficientnet_lite_pytorch",
        reason="the reference class is not installed: pip install --no-deps efficientnet-lite-pytorch==0.1.0",
    )
    _, module, path = trained
    theirs = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
    with torch.inference_mode():
        ours, expected = module(photographs[0]), theirs(photographs[0])
    assert (ours - expected).abs().max() <= 1e-5 * expected.std()


def test_logits_are_those_that_the_class_gave(trained, photographs):
    """The same comparison with the package's numbers, kept: where it is not installed nothing is left untested."""
    with torch.inference_mode():
        logits = trained[1](photographs[0][:1])[0]
    assert torch.allclose(logits[:8], torch.tensor(LOGITS), atol=1e-4)


def test_the_trained_network_knows_the_photographs(trained, photographs):
    images, labels = photographs
    with torch.inference_mode():
        assert (trained[1](images).argmax(1).numpy() == labels).mean() >= 0.75


def test_eval_finds_the_preprocessing_by_the_files_hash(trained, test_data):
    recipe = make_recipe(model="efficientnet_lite0", weights=str(trained[2]), targets=("none",))
    images = test_data / "images"
    result = evaluate_model(recipe, Selection(images / "imagenet1000", images / "imagenet_synset_words.txt", limit=60))
    assert result.top1.percent > 75
