"""Which tensors of a checkpoint are a model's: found by the names that the model gives its own.

A training script keeps a model inside others, so that its tensors are called `state_dict.module.backbone.conv1.weight`.
What stands in front of the model's own names is found by comparing ends of names, whatever it is called.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from edgekit.source.checkpoint import Checkpoint
from edgekit.source.layouts import State, same_tensor

WRAPPERS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"))
"""What DataParallel, torch.compile, FSDP and checkpointing put in front of any part of a name."""

AVERAGED = frozenset(("ema", "swa", "avg", "average", "averaged", "teacher"))
"""Words in the name of a moving average, which is what training scripts evaluate; a self-taught teacher is one."""

NO_WEIGHTS = re.compile(r"(^|[._])(optim\w*|exp_avg\w*|momentum\w*|grad\w*)([._]|$)")
"""In the name of what an optimizer keeps for each weight, in the weight's own shape."""

MOST_PREFIXES = 3
COUNTERS = frozenset(("num_batches_tracked", "total_ops", "total_params"))
"""What inference does not read: BatchNorm's steps, which older files lack, and what thop counted in every module."""


@dataclass(frozen=True, slots=True)
class Match:
    """Tensors that may be a model's.

    Args:
        state: as the model calls them; there may be more or fewer than it has.
        folder: the dictionary of the file that they come from; "" is the file itself.
        removed: what was taken off their names, in the order of how many had it.
        added: what was put in front of them.
        place: what stood in front of them in the file.
        used: their names in the file.
    """

    state: State = field(repr=False)
    folder: str = ""
    removed: tuple[str, ...] = ()
    added: str = ""
    place: str = ""
    used: frozenset[str] = field(repr=False, default=frozenset())

    @property
    def averaged(self) -> bool:
        return bool(AVERAGED.intersection(re.split(r"[._]", self.place.lower())))


def without_counters(state: Mapping[str, Tensor]) -> State:
    """Tensors that inference reads; a module's extra state is none."""
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    return {key: value for key, value in tensors.items() if key.rpartition(".")[2] not in COUNTERS}


def by_name(wanted: State, checkpoint: Checkpoint) -> list[Match]:
    """Every place of the file where all names of the model stand; none that lies inside another."""
    found = _by_prefix(wanted, checkpoint, without_counters(checkpoint.tensors), ())
    if found or any(WRAPPERS.intersection(key.split(".")) for key in wanted):
        return found
    plain, wrappers = _unwrapped(without_counters(checkpoint.tensors))
    return _by_prefix(wanted, checkpoint, plain, wrappers) if wrappers else []


def by_parts(wanted: State, checkpoint: Checkpoint) -> Iterator[Match]:
    """For each dictionary, the model out of several parts (`backbone.` and `head.`), where that is possible."""
    for folder in sorted(checkpoint.folders, key=len, reverse=True):
        inside = _inside(without_counters(checkpoint.tensors), folder)
        prefixes = _cover(wanted, inside)
        names = [next((p + key for p in prefixes if p + key in inside), None) for key in wanted]
        chosen = {key: name for key, name in zip(wanted, names, strict=True) if name is not None}
        apart = len(prefixes) > 1 and len(chosen) == len(wanted) == len(set(chosen.values()))
        if apart and not unexpected_in_parts(prefixes, chosen, inside):
            state = {key: inside[name] for key, name in chosen.items()}
            used = frozenset(_joined(folder, name) for name in chosen.values())
            yield Match(state, folder, tuple(filter(None, prefixes)), place=_joined(folder, ""), used=used)


def unexpected_in_parts(prefixes: Sequence[str], chosen: Mapping[str, str], inside: State) -> set[str]:
    """Names that lie inside a part that the model has, and are none of its own."""
    left = set[str]()
    taken = set(chosen.values())
    for prefix in prefixes:
        wanted = {key: inside[name] for key, name in chosen.items() if name == prefix + key}
        others = (name for name in inside if name.startswith(prefix) and name not in taken)
        given = {name.removeprefix(prefix): inside[name] for name in others}
        left |= given.keys() - surplus(wanted, given)
    return left


def by_folder(wanted: State, checkpoint: Checkpoint) -> Iterator[Match]:
    """Each dictionary as it is, without what stands in front of all of its names."""
    roots = {key.partition(".")[0] for key in wanted}
    for folder in checkpoint.folders:
        inside, _ = _unwrapped(without_counters(_inside(checkpoint.tensors, folder)), keep=roots)
        removed = ""
        while len(common := {key.partition(".")[0] for key in inside}) == 1 and not common & roots:
            root = f"{common.pop()}."
            if not all(key.startswith(root) for key in inside):
                break
            inside, removed = {key.removeprefix(root): value for key, value in inside.items()}, removed + root
        used = frozenset(name for name in checkpoint.tensors if name.startswith(_joined(folder, "")))
        yield Match(inside, folder, (removed,) if removed else (), place=_joined(folder, removed), used=used)


def is_whole(match: Match, checkpoint: Checkpoint) -> bool:
    """Whether a match is all that its dictionary holds."""
    inside = (name for name in without_counters(checkpoint.tensors) if name.startswith(_joined(match.folder, "")))
    return all(name in match.used for name in inside)


def by_start(wanted: State, checkpoint: Checkpoint) -> Iterator[Match]:
    """Each dictionary whose names are the model's behind one start that no dot ends: `net_conv1.weight`."""
    first = next(iter(wanted), "")
    for folder in sorted(checkpoint.folders, key=len, reverse=True):
        inside = without_counters(_inside(checkpoint.tensors, folder))
        for start in dict.fromkeys(name.removesuffix(first) for name in inside if name.endswith(first)):
            state = {name.removeprefix(start): value for name, value in inside.items() if name.startswith(start)}
            if start and len(state) == len(inside) and state.keys() == wanted.keys():
                used = frozenset(_joined(folder, name) for name in inside)
                yield Match(state, folder, (start,), place=_joined(folder, start), used=used)


def inside_wrapper(wanted: State) -> tuple[str, State]:
    """What stands in front of all names of the model, and the names without it; "" where nothing does."""
    roots = {key.partition(".")[0] for key in wanted}
    prefix = f"{roots.pop()}." if len(roots) == 1 else ""
    if not prefix or any(key == prefix[:-1] for key in wanted):
        return "", wanted
    return prefix, {key.removeprefix(prefix): value for key, value in wanted.items()}


def surplus(wanted: State, given: State) -> set[str]:
    """Tensors beside the model: of parts that it does not have, as a loss that was trained with it.

    A further layer of a Sequential, whose parts are numbers, is no such part.
    """
    roots = {key.partition(".")[0] for key in wanted}
    numbered = any(root.isdigit() for root in roots)
    others = {key: key.partition(".")[0] for key in given if key not in wanted}
    return {key for key, root in others.items() if root not in roots and not (numbered and root.isdigit())}


def told(match: Match, count: int) -> tuple[str, ...]:
    """How the tensors were found, where they were not simply there."""
    ways = [f"in {match.folder!r}"] if match.folder else []
    if match.removed:
        ways.append("after removing " + " and ".join(map(repr, match.removed)))
    if match.added:
        ways.append(f"after adding {match.added!r}")
    return (f"{count} keys matched {' '.join(ways)}",) if ways else ()


def left_out(match: Match, others: Sequence[Match], checkpoint: Checkpoint) -> tuple[str, ...]:
    """What else the file holds, by the first part of its name that is not the model's."""
    counts: Counter[str] = Counter()
    for name in without_counters(checkpoint.tensors):
        if name not in match.used and not any(name in other.used for other in others):
            counts[_apart(name, match.place)] += 1
    if not counts:
        return ()
    named = [f"{name!r} ({n} tensor{'s' if n > 1 else ''})" for name, n in counts.most_common(5)]
    more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
    return (f"left out: {', '.join(named)}{more}",)


def _apart(name: str, place: str) -> str:
    """A name as far as it is another than the model's place: `state_dict.criterion`."""
    parts, ours = name.split("."), place.rstrip(".").split(".") if place else []
    same = next((i for i, part in enumerate(parts) if i >= len(ours) or part != ours[i]), len(parts))
    return ".".join(parts[: same + 1])


def _by_prefix(wanted: State, checkpoint: Checkpoint, tensors: State, wrappers: tuple[str, ...]) -> list[Match]:
    prefixes = sorted(p for p, count in _prefixes(wanted, tensors).items() if count == len(wanted))
    outer = [p for p in prefixes if not any(p != q and p.startswith(q) for q in prefixes)]
    ordered = [p for name in tensors for p in outer if name.startswith(p)]
    return [_match(p, wanted, checkpoint, tensors, wrappers) for p in dict.fromkeys(ordered)]


def _match(prefix: str, wanted: State, checkpoint: Checkpoint, tensors: State, wrappers: tuple[str, ...]) -> Match:
    folder = max((f for f in checkpoint.folders if prefix.startswith(_joined(f, ""))), key=len, default="")
    removed = prefix.removeprefix(_joined(folder, ""))
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    names = {".".join(p for p in name.split(".") if p not in wrappers): name for name in checkpoint.tensors}
    used = frozenset(names[prefix + key] for key in wanted)
    taken = (*((removed,) if removed else ()), *(f"{wrapper}." for wrapper in wrappers))
    return Match(state, folder, taken, place=prefix, used=used)


def _prefixes(wanted: State, tensors: State) -> Counter[str]:
    """What stands in front of the model's names -> how many of them have it there."""
    ends: dict[str, list[str]] = defaultdict(list)
    for name in tensors:
        if NO_WEIGHTS.search(name) is None:
            starts = [0, *(place.end() for place in re.finditer(r"\.", name))]
            for start in starts:
                ends[name[start:]].append(name[:start])
    return Counter(prefix for key in wanted for prefix in ends[key])


def _cover(wanted: State, inside: State) -> list[str]:
    """Few prefixes that together stand in front of every name of the model, in its shape; those of most names first."""
    left, chosen = dict(wanted), list[str]()
    while left and len(chosen) < MOST_PREFIXES:
        counts = _prefixes(left, inside)
        fits = {p: sum(p + k in inside and same_tensor(inside[p + k], v) for k, v in left.items()) for p in counts}
        best = max(fits, key=lambda prefix: fits[prefix], default="")
        if not fits.get(best):
            return []
        chosen.append(best)
        left = {key: value for key, value in left.items() if best + key not in inside}
    return [] if left else chosen


def _unwrapped(tensors: State, keep: set[str] | frozenset[str] = frozenset()) -> tuple[State, tuple[str, ...]]:
    """Names without the parts that wrapping put into them, and those parts."""
    wrappers = tuple(sorted({p for name in tensors for p in name.split(".") if p in WRAPPERS and p not in keep}))
    plain = {".".join(p for p in name.split(".") if p not in wrappers): value for name, value in tensors.items()}
    return (plain, wrappers) if len(plain) == len(tensors) else (tensors, ())


def _inside(tensors: Mapping[str, Tensor], folder: str) -> State:
    start = _joined(folder, "")
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _joined(folder: str, name: str) -> str:
    return f"{folder}.{name}" if folder else name
