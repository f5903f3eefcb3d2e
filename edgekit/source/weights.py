"""Putting a checkpoint's tensors into a module: by name, or by position between layouts known to be equal."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from edgekit.errors import EdgekitError, Table
from edgekit.source.checkpoint import file_sha256, read_state_dict
from edgekit.source.layouts import (
    TIMM_EPSILON,
    State,
    drop_background,
    is_timm,
    rename_by_position,
    rename_dense_layers,
    rename_head,
    same_tensor,
)
from edgekit.source.swin_layout import rename_swin

AS_BUILT = "as built"
"""Name of weights that a model's own code made or loaded."""

MAX_ROWS = 8
"""Rows of each kind in an error's table; a checkpoint of another model would fill screens."""

OPTIONAL = "num_batches_tracked"
"""BatchNorm's step counter: older files lack it and inference does not read it."""

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Heads of GoogLeNet and Inception v3 that only training uses: the official files have them, others may not."""


def load_weights(module: nn.Module, state: State, where: str) -> None:
    """Copy `state` into `module`, in float32.

    Keys that match are used as they are; the classifier may have another usual name, and TensorFlow's background class
    in front. Otherwise tensors are matched by position, where the two layouts are known to hold the same tensors in the
    same order (edgekit.source.layouts); BatchNorm then takes the epsilon that the checkpoint was trained with.

    Args:
        where: the weights in the user's words, for messages: a file name or "imagenet".

    Errors:
        EK103 the tensors do not fit, with a table of missing, unexpected and wrong-shape keys; or they hold NaN.
    """
    wanted = _without_counters(module.state_dict())
    given = rename_swin(wanted, rename_dense_layers(_without_counters(state)))
    wanted, given = _without_single_heads(wanted, given)
    given = drop_background(wanted, rename_head(wanted, given))
    epsilon = None
    if wanted.keys() != given.keys() and (renamed := rename_by_position(wanted, given, where)):
        epsilon = TIMM_EPSILON if is_timm(given) else None
        given = renamed
    if wanted.keys() != given.keys() or any(not same_tensor(wanted[key], given[key]) for key in wanted):
        raise _mismatch(module, wanted, given, where)
    broken = [key for key, value in given.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise EdgekitError(
            "EK103",
            what=f"{len(broken)} tensors of the checkpoint hold NaN or infinite values",
            where=where,
            fix="use an earlier checkpoint: this training has diverged",
            table=Table(("key",), tuple((key,) for key in broken[:MAX_ROWS])),
        )
    module.load_state_dict({key: value.reshape(wanted[key].shape) for key, value in given.items()}, strict=False)
    if epsilon is not None:
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = epsilon


def load_chosen(module: nn.Module, chosen: str | None, holder: str) -> tuple[str, str]:
    """Put a checkpoint into a module that its own code built, where one is named.

    Args:
        chosen: the recipe's weights.
        holder: what the module is, for messages: "a model from a Python file".

    Returns:
        The weights' name, and their SHA-256.

    Errors:
        EK104 a name that is no file; EK103 tensors that do not fit.
    """
    if chosen is None:
        return AS_BUILT, tensors_sha256(module)
    path = Path(chosen)
    if not path.suffix and not path.exists():
        raise EdgekitError(
            "EK104",
            what=f"{holder} has no weights called {chosen!r}",
            where="--weights",
            fix="name a checkpoint file, or leave --weights out to keep the weights that it is built with",
        )
    load_weights(module, read_state_dict(path), str(path))
    return path.name, file_sha256(path)


def tensors_sha256(module: nn.Module) -> str:
    """SHA-256 over the names and values of a module's state: the identity of weights that come from no file."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, torch.Tensor):  # the extra state of a module
            digest.update(f"{name}\0{tensor!r}\0".encode())
            continue
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _without_counters(state: State) -> State:
    return {key: value for key, value in state.items() if key.rpartition(".")[2] != OPTIONAL}


def _without_single_heads(wanted: State, given: State) -> tuple[State, State]:
    """Both without the auxiliary heads that only one of them has."""
    ours, theirs = ({_root(key) for key in state} for state in (wanted, given))
    single = (ours ^ theirs).intersection(AUXILIARY)
    left, right = ({k: v for k, v in state.items() if _root(k) not in single} for state in (wanted, given))
    return left, right


def _root(key: str) -> str:
    return key.partition(".")[0]


def _mismatch(module: nn.Module, wanted: State, given: State, where: str) -> EdgekitError:
    wrong = [key for key in wanted if key in given and not same_tensor(wanted[key], given[key])]
    problems = {
        "wrong shape": [(key, _shape(given[key]), _shape(wanted[key])) for key in wrong],
        "missing": [(key, "", _shape(wanted[key])) for key in wanted if key not in given],
        "unexpected": [(key, _shape(given[key]), "") for key in given if key not in wanted],
    }
    what = f"the checkpoint does not fit {type(module).__name__}: " + ", ".join(
        f"{len(rows)} {problem}" for problem, rows in problems.items() if rows
    )
    fix = "name the model that the checkpoint belongs to, or a checkpoint of this model"
    classes = None if problems["missing"] or problems["unexpected"] else _other_classes(wanted, given, wrong)
    if classes:
        what = f"the checkpoint has {classes} classes, the model {wanted[wrong[-1]].shape[0]}"
        fix = f"add --num-classes {classes}"
    return EdgekitError("EK103", what=what, where=where, fix=fix, table=_table(problems))


def _other_classes(wanted: State, given: State, wrong: list[str]) -> int | None:
    """The checkpoint's class count, where nothing but the rows of the last layer differs."""
    rows = {tuple(given[key].shape[:1]) for key in wrong}
    only_rows = all(wanted[key].shape[1:] == given[key].shape[1:] for key in wrong)
    last = [key for key in wrong if _root(key) not in AUXILIARY]
    is_last = last == list(wanted)[-len(last) :] and len(last) <= 2
    return int(rows.pop()[0]) if len(rows) == 1 and only_rows and is_last and () not in rows else None


def _table(problems: dict[str, list[tuple[str, str, str]]]) -> Table:
    rows = []
    for problem, found in problems.items():
        rows += [(key, problem, *shapes) for key, *shapes in found[:MAX_ROWS]]
        if len(found) > MAX_ROWS:
            rows.append((f"... and {len(found) - MAX_ROWS} more", problem, "", ""))
    return Table(("key", "problem", "in the checkpoint", "in the model"), tuple(rows))


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
