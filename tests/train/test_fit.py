"""Training itself: resuming, averaging, weight decay, and what a run refuses."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.train import TrainConfig, train
from edgekit.train import checkpoint as checkpoints
from edgekit.train.data import load_images
from edgekit.train.fit import Run, accuracy, average, decay_groups, loss_of, measure


@pytest.fixture
def config(class_folders, tmp_path):
    """Three epochs of three batches at two input sizes."""
    return TrainConfig(
        model="tiny",
        data=class_folders,
        out=tmp_path / "out",
        epochs=3,
        batch_size=6,
        stored_size=12,
        input_size=16,
        start_size=12,
        start_epochs=1,
        warmup_epochs=1,
        decay_epochs=1,
    )


def tiny():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 4, 1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def test_auxiliary_heads_count_beside_the_network_itself():
    logits, early, late = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3])
    alone, *heads = (nn.functional.cross_entropy(each, labels, label_smoothing=0.1) for each in (logits, early, late))
    assert loss_of(logits, labels, 0.1) == alone
    assert loss_of((logits, early, late), labels, 0.1) == pytest.approx(float(alone + 0.3 * sum(heads)))


def run_of(config):
    return Run(config, tiny(), load_images(config.data, config.stored_size))


def assert_equal_runs(one, other):
    assert one.epoch == other.epoch
    for ours, theirs in ((one.model, other.model), (one.averaged, other.averaged)):
        for key, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[key]), key
    for ours, theirs in zip(one.optimizer.state.values(), other.optimizer.state.values(), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_three_epochs_equal_two_and_a_resumed_one_bit_for_bit(config):
    whole = run_of(replace(config, out=config.out / "whole"))
    losses = [whole.advance() for _ in range(3)]
    interrupted = run_of(config)
    first = [interrupted.advance() for _ in range(2)]
    torch.manual_seed(99)  # another process has another state
    torch.rand(7)
    resumed = run_of(config)
    resumed.restore()
    assert resumed.epoch == 2
    assert [*first, resumed.advance()] == losses
    assert_equal_runs(resumed, whole)


def test_a_run_can_be_given_more_epochs_before_its_rate_falls(config):
    whole = run_of(replace(config, epochs=4, out=config.out / "whole"))
    short = run_of(config)
    for _ in range(2):
        whole.advance()
        short.advance()
    longer = run_of(replace(config, epochs=4))
    longer.restore()
    assert longer.advance() == whole.advance()
    assert_equal_runs(longer, whole)


def test_the_seed_decides_a_run(config):
    first, again, other = (
        run_of(replace(config, seed=seed, out=config.out / name)) for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    )
    assert first.advance() == again.advance() != other.advance()


def test_training_learns_to_tell_dark_from_light(config):
    chosen = replace(config, epochs=40, learning_rate=0.03, decay_epochs=10, ema=0.9, smoothing=0.0)
    run = run_of(chosen)
    before = accuracy(run.averaged, run.images, chosen)
    for _ in range(chosen.epochs):
        run.advance()
    after = accuracy(run.averaged, run.images, chosen)
    assert after >= 80 > before
    assert measure(run.averaged, chosen.data, replace(chosen.preprocess, labels=None)) == pytest.approx(after, abs=11)


def test_fewer_images_than_a_batch_are_one_smaller_batch(config):
    run = run_of(replace(config, batch_size=256))
    assert run.steps_per_epoch == 1
    run.advance()
    assert run.step == 1


@pytest.mark.parametrize("change", [{"seed": 1}, {"input_size": 18}, {"learning_rate": 0.1}, {"batch_size": 5}])
def test_a_checkpoint_of_another_recipe_is_refused_and_says_what_differs(config, change):
    run_of(config).advance()
    with pytest.raises(EdgekitError) as caught:
        run_of(replace(config, **change)).restore()
    assert caught.value.code == "EK106"
    assert caught.value.what.endswith(f"another {next(iter(change))}")
    assert caught.value.where == str(config.out / "checkpoint.pt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "text", "truncated"])
def test_a_broken_checkpoint_is_refused(config, content):
    run_of(config).advance()
    path = config.out / checkpoints.FILE
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(EdgekitError) as caught:
        run_of(config).restore()
    assert caught.value.code == "EK102"


def test_tensors_that_are_no_checkpoint_are_refused(config):
    config.out.mkdir()
    torch.save(tiny().state_dict(), config.out / checkpoints.FILE)
    with pytest.raises(EdgekitError) as caught:
        run_of(config).restore()
    assert caught.value.code == "EK102"


def test_no_checkpoint_starts_from_the_beginning(config):
    run = run_of(config)
    run.restore()
    assert run.epoch == 0


def test_an_epoch_leaves_one_checkpoint_and_no_part_of_one(config):
    run_of(config).advance()
    assert [path.name for path in config.out.iterdir()] == [checkpoints.FILE]


def test_depthwise_filters_biases_and_norms_do_not_decay():
    decayed, free = decay_groups(tiny(), 0.05)
    assert [tuple(p.shape) for p in decayed["params"]] == [(8, 3, 3, 3), (3, 8)]
    assert decayed["weight_decay"] == 0.05
    assert free["weight_decay"] == 0
    assert sum(p.numel() for p in (*decayed["params"], *free["params"])) == sum(p.numel() for p in tiny().parameters())


def test_the_average_moves_by_its_share_and_copies_the_counters():
    model, kept = tiny(), tiny()
    start = copy.deepcopy(kept.state_dict())
    with torch.no_grad():
        model[0].weight.add_(1)
        model[1].running_mean.add_(2)
        model[1].num_batches_tracked.add_(7)
    average(kept, model, 0.75)
    torch.testing.assert_close(kept[0].weight, start["0.weight"] + 0.25)
    torch.testing.assert_close(kept[1].running_mean, start["1.running_mean"] + 0.5)
    assert int(kept[1].num_batches_tracked) == 7


def refusal(config, **change):
    with pytest.raises(EdgekitError) as caught:
        train(replace(config, model="mobilenet_v3_small", **change), lambda report: None)
    return caught.value


def test_what_cannot_be_trained_is_refused_before_the_first_epoch(config, class_folders, tmp_path):
    other = tmp_path / "other"
    for name in ("dark", "light"):
        (other / name).mkdir(parents=True)
        (other / name / "1.png").write_bytes(next((class_folders / name).iterdir()).read_bytes())
    (tmp_path / "file").write_text("in the way")
    assert refusal(config, data=tmp_path / "nowhere").code == "EK102"
    assert refusal(config, data=class_folders / "dark").code == "EK109"
    assert refusal(config, out=tmp_path / "file" / "out").code == "EK702"
    classes = refusal(config, evaluation=other)
    assert (classes.code, classes.where) == ("EK109", str(other))
    single = refusal(config, batch_size=1)
    assert (single.code, single.where) == ("EK106", "--batch-size")
    assert not config.out.exists()
