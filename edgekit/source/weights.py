"""Putting a checkpoint's tensors into a module: by name, or by position between layouts known to be equal."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from edgekit.errors import EdgekitError, Table
from edgekit.source.checkpoint import Checkpoint, exists, file_sha256, of_state, read_checkpoint, split_choice
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
from edgekit.source.matching import (
    Match,
    by_folder,
    by_name,
    by_parts,
    by_start,
    inside_wrapper,
    is_whole,
    left_out,
    surplus,
    told,
    without_counters,
)
from edgekit.source.reparametrized import multiplied_out
from edgekit.source.swin_layout import rename_swin

AS_BUILT = "as built"
"""Name of weights that a model's own code made or loaded."""

MAX_ROWS = 8
"""Rows of each kind in an error's table; a checkpoint of another model would fill screens."""

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Heads of GoogLeNet and Inception v3 that only training uses: the official files have them, others may not."""


class OtherClasses(EdgekitError):
    """EK103 for a checkpoint that fits but for the number of its classes. Args: classes: how many it has."""

    classes = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A module with its weights.

    Args:
        classes: how many it was asked for; None: what it has by itself.
        notes: what `load_weights` tells.
        weights: their name.
        sha256: of the file or, where there is none, of the tensors.
    """

    module: nn.Module = field(repr=False)
    classes: int | None = None
    notes: tuple[str, ...] = ()
    weights: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """Tensors of a checkpoint put beside a model's.

    Args:
        wanted: what the model needs of them.
        given: under the model's names, as far as they could be found.
        epsilon: BatchNorm's, where the checkpoint was trained with another one.
    """

    match: Match
    wanted: State = field(repr=False)
    given: State = field(repr=False)
    epsilon: float | None = None

    @property
    def complete(self) -> bool:
        """Whether every tensor is there in its shape, and no other."""
        same = self.wanted.keys() == self.given.keys()
        return same and all(same_tensor(value, self.given[key]) for key, value in self.wanted.items())

    @property
    def found(self) -> int:
        """How many names of the model are there."""
        return len(self.wanted.keys() & self.given.keys())


def load_weights(module: nn.Module, given: Checkpoint | Mapping[str, Tensor], where: str) -> tuple[str, ...]:
    """Copy a checkpoint's tensors into `module`, in float32.

    They are looked for under the module's own names, wherever these stand in the file (edgekit.source.matching); of
    several places the moving average is taken. The classifier may have another usual name, and TensorFlow's background
    class in front. Otherwise tensors are matched by position, where the two layouts are known to hold the same tensors
    in the same order (edgekit.source.layouts); BatchNorm then takes the epsilon that the checkpoint was trained with.

    Args:
        where: the weights in the user's words, for messages: a file name or "imagenet".

    Returns:
        How they were found and what was left out, a sentence each; nothing where they were simply there.

    Errors:
        EK103 the tensors do not fit, with a table of missing, unexpected and wrong-shape keys; they fit in several
        places of the file; or they hold NaN.
    """
    checkpoint = given if isinstance(given, Checkpoint) else of_state(given, where)
    wanted = without_counters(module.state_dict())
    tensors, parts = multiplied_out(wanted, checkpoint.tensors)
    checkpoint = replace(checkpoint, tensors=tensors)
    complete, others = _fits(wanted, checkpoint, where)
    if not complete:
        raise _mismatch(module, max(others, key=lambda fit: (fit.found, fit.match.averaged)), checkpoint, where)
    chosen, others = _choose(complete, checkpoint, where)
    _refuse_diverged(chosen.given, where)
    values = {key: value.reshape(chosen.wanted[key].shape) for key, value in chosen.given.items()}
    module.load_state_dict(values, strict=False)
    if chosen.epsilon is not None:
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = chosen.epsilon
    kept = (f"multiplied out: {parts} weights that were kept in parts (weight norm or pruning)",) if parts else ()
    return (*_notes(chosen, others, checkpoint), *kept)


def load_into(build: Callable[[int | None], nn.Module], given: Checkpoint, where: str, classes: int | None) -> Loaded:
    """Build a model and load a checkpoint into it, with as many classes as the checkpoint has where nobody said.

    Args:
        build: the module of a number of classes; None is what it has by itself.
        classes: what the recipe says.

    Errors:
        As `load_weights`.
    """
    module = build(classes)
    try:
        return Loaded(module, classes, load_weights(module, given, where))
    except OtherClasses as other:
        if classes is not None:
            raise
        module = build(other.classes)
        told = f"{other.classes} classes, as the checkpoint has"
        return Loaded(module, other.classes, (told, *load_weights(module, given, where)))


def load_chosen(
    module: nn.Module, chosen: str | None, holder: str, rebuild: Callable[[int], nn.Module] | None = None
) -> Loaded:
    """Put a checkpoint into a module that its own code built, where one is named.

    Args:
        chosen: the recipe's weights.
        holder: what the module is, for messages: "a model from a Python file".
        rebuild: the module with another number of classes, where it can be built with one.

    Errors:
        EK104 a name that is no file; EK103 tensors that do not fit.
    """
    if chosen is None:
        return Loaded(module, weights=AS_BUILT, sha256=tensors_sha256(module))
    path, _ = split_choice(chosen)
    if not path.suffix and not exists(path):
        raise EdgekitError(
            "EK104",
            what=f"{holder} has no weights called {chosen!r}",
            where="--weights",
            fix="name a checkpoint file, or leave --weights out to keep the weights that it is built with",
        )
    checkpoint = read_checkpoint(chosen)
    if rebuild is None:
        try:
            loaded = Loaded(module, notes=load_weights(module, checkpoint, str(path)))
        except OtherClasses as other:  # --num-classes, which others are told, has nowhere to go here
            fix = f"build it with {other.classes} classes; an argument num_classes of the callable gets the number"
            raise EdgekitError("EK103", what=other.what, where=other.where, fix=fix, table=other.table) from other
    else:
        loaded = load_into(lambda n: module if n is None else rebuild(n), checkpoint, str(path), None)
    return replace(loaded, weights=path.name, sha256=file_sha256(path))


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


def _fits(wanted: State, checkpoint: Checkpoint, where: str) -> tuple[list[Fit], list[Fit]]:
    """The first way of finding tensors that gives complete ones: these; and all that are not."""
    failed: list[Fit] = []
    for ways in (by_name, by_folder, _in_wrapper, by_parts, by_start):
        fits = [_fit(wanted, match, where) for match in ways(wanted, checkpoint)]
        if complete := [fit for fit in fits if fit.complete]:
            return complete, failed
        failed += fits
    return [], failed


def _in_wrapper(wanted: State, checkpoint: Checkpoint) -> list[Match]:
    """Tensors of the module that the model wraps as a whole; a part of another module is no such thing."""
    prefix, inner = inside_wrapper(wanted)
    found = [match for match in by_name(inner, checkpoint) if is_whole(match, checkpoint)] if prefix else []
    return [replace(m, state={prefix + key: value for key, value in m.state.items()}, added=prefix) for m in found]


def _fit(wanted: State, match: Match, where: str) -> Fit:
    given = rename_swin(wanted, rename_dense_layers(match.state))
    wanted, given = _without_single_heads(wanted, given)
    given = drop_background(wanted, rename_head(wanted, given))
    epsilon = None
    if wanted.keys() < given.keys():
        beside = surplus(wanted, given)
        given = {key: value for key, value in given.items() if key not in beside}
    if wanted.keys() != given.keys() and (renamed := rename_by_position(wanted, given, where)):
        epsilon = TIMM_EPSILON if is_timm(given) else None
        given = renamed
    return Fit(match, wanted, given, epsilon)


def _choose(complete: list[Fit], checkpoint: Checkpoint, where: str) -> tuple[Fit, list[Fit]]:
    """The moving averages before the others, and the rest; EK103 where two that differ are left."""
    averaged = [fit for fit in complete if fit.match.averaged] or complete
    chosen = averaged[0]
    differing = [fit for fit in averaged[1:] if not _equal(chosen.given, fit.given)]
    if differing:
        keys = [_key(fit.match, checkpoint) for fit in (chosen, *differing)]
        raise EdgekitError(
            "EK103",
            what=f"the checkpoint holds several that fit: {', '.join(map(repr, keys))}",
            where=where,
            fix=f"choose one: {' or '.join(f'--weights {where}#{key}' for key in keys[:3])}",
        )
    return chosen, [fit for fit in complete if fit is not chosen]


def _equal(one: State, other: State) -> bool:
    return all(torch.equal(value, other[key].reshape(value.shape)) for key, value in one.items())


def _key(match: Match, checkpoint: Checkpoint) -> str:
    """What `--weights FILE#KEY` calls a place of the file."""
    stands = match.place and any(name.startswith(match.place) for name in checkpoint.tensors)
    return match.place.rstrip(".") if stands else match.folder


def _notes(chosen: Fit, others: list[Fit], checkpoint: Checkpoint) -> tuple[str, ...]:
    match, more = chosen.match, [fit.match for fit in others if fit.match.used != chosen.match.used]
    keys = [key for other in more if (key := _key(other, checkpoint))]
    alternatives = (f"{', '.join(map(repr, keys))} would fit too: --weights FILE#KEY takes it",) if keys else ()
    return (*told(match, chosen.found), *alternatives, *left_out(match, more, checkpoint))


def _refuse_diverged(given: State, where: str) -> None:
    broken = [key for key, value in given.items() if value.is_floating_point() and not value.float().isfinite().all()]
    if broken:
        raise EdgekitError(
            "EK103",
            what=f"{len(broken)} tensors of the checkpoint hold NaN or infinite values",
            where=where,
            fix="use an earlier checkpoint: this training has diverged",
            table=Table(("key",), tuple((key,) for key in broken[:MAX_ROWS])),
        )


def _without_single_heads(wanted: State, given: State) -> tuple[State, State]:
    """Both without the auxiliary heads that only one of them has."""
    ours, theirs = ({_root(key) for key in state} for state in (wanted, given))
    single = (ours ^ theirs).intersection(AUXILIARY)
    left, right = ({k: v for k, v in state.items() if _root(k) not in single} for state in (wanted, given))
    return left, right


def _root(key: str) -> str:
    return key.partition(".")[0]


def _mismatch(module: nn.Module, fit: Fit, checkpoint: Checkpoint, where: str) -> EdgekitError:
    wanted, given = fit.wanted, fit.given
    wrong = [key for key in wanted if key in given and not same_tensor(wanted[key], given[key])]
    problems = {
        "wrong shape": [(key, _shape(given[key]), _shape(wanted[key])) for key in wrong],
        "missing": [(key, "", _shape(wanted[key])) for key in wanted if key not in given],
        "unexpected": [(key, _shape(given[key]), "") for key in given if key not in wanted],
    }
    if problems["missing"] and checkpoint.unusable:
        return _unusable(checkpoint, where)
    what = f"the checkpoint does not fit {type(module).__name__}: " + ", ".join(
        f"{len(rows)} {problem}" for problem, rows in problems.items() if rows
    )
    fix = "name the model that the checkpoint belongs to, or a checkpoint of this model"
    classes = None if problems["missing"] or problems["unexpected"] else _other_classes(wanted, given, wrong)
    if not classes:
        return EdgekitError("EK103", what=what, where=where, fix=fix, table=_table(problems))
    what = f"the checkpoint has {classes} classes, the model {wanted[wrong[-1]].shape[0]}"
    other = OtherClasses("EK103", what=what, where=where, fix=f"add --num-classes {classes}", table=_table(problems))
    other.classes = classes
    return other


def _unusable(checkpoint: Checkpoint, where: str) -> EdgekitError:
    kinds = " and ".join(sorted(set(checkpoint.unusable.values())))
    rows = tuple(checkpoint.unusable.items())[:MAX_ROWS]
    return EdgekitError(
        "EK103",
        what=f"{len(checkpoint.unusable)} tensors of the checkpoint are {kinds}: they hold no plain numbers",
        where=where,
        fix="save plain tensors: to_dense() of sparse ones, dequantize() of quantized ones, the float model's weights",
        table=Table(("key", "is"), rows),
    )


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
