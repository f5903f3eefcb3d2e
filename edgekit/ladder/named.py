"""The method that a recipe names in the place of a rung that is found, and whether its targets can have it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgekit.errors import EdgekitError, did_you_mean
from edgekit.quant.method import KNOBS, QUALITY, RUNGS, Method
from edgekit.quant.parameters import ActivationType
from edgekit.quant.sensitivity import Sensitivity
from edgekit.recipe import OwnMethod, Recipe
from edgekit.target import Target, names_with

OWN = "own"
"""What a recipe's table [method] is called."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One method with its name.

    Args:
        kept: values that stay in float32, with the operators around them, because the ladder chose them.
    """

    name: str
    method: Method
    kept: tuple[Sensitivity, ...] = ()


def named_rung(recipe: Recipe, dtype: ActivationType) -> Rung | None:
    """The recipe's method for these activations; None where it names none."""
    if recipe.method is None:
        return None
    if isinstance(recipe.method, str):
        return Rung(recipe.method, RUNGS[dtype][recipe.method])
    return Rung(OWN, own_method(recipe.method, dtype))


def rung_of_quality(recipe: Recipe, dtype: ActivationType) -> Rung:
    """What `--quality` picks for these activations."""
    name = QUALITY[dtype][recipe.quality or "balanced"]
    return Rung(name, RUNGS[dtype][name])


def own_method(own: OwnMethod, dtype: ActivationType) -> Method:
    """A table [method] on top of its base, without what has no effect.

    int16 activations are never equalized, and an expanded graph is not.
    """
    base = Method() if own.base is None else RUNGS[dtype][own.base]
    given = {knob: value for knob in KNOBS[dtype] if (value := getattr(own, knob)) is not None}
    method = replace(base, **given)
    return replace(method, equalize=method.equalize and not method.expand)


def asked_for(recipe: Recipe) -> list[str]:
    """The options that change how integers are made, of those that were given."""
    return [option for option, value in (("--method", recipe.method), ("--keep-float", recipe.kept_float)) if value]


def refuse_quantized(recipe: Recipe) -> None:
    """EK302 where a method, or modules kept in float32, are asked of a graph that has its integers already."""
    asked = asked_for(recipe)
    if asked:
        raise EdgekitError(
            "EK302",
            what=f"the model is quantized already, so {' and '.join(asked)} can change nothing",
            where=recipe.model,
            fix="leave it out, or start from the float model",
        )


def check_method(recipe: Recipe, chosen: Sequence[Target]) -> None:
    """Refuse a method, or modules kept in float32, that the chosen targets cannot have.

    Raises:
        EdgekitError: EK106 for a rung that does not exist, with near misses, or knobs that exclude each other; EK302
            where no target has integer activations, or those that one has know no such rung or knob.
    """
    asked = asked_for(recipe)
    if asked and not any(target.scheme.needs_calibration for target in chosen):
        raise EdgekitError(
            "EK302",
            what=f"{' and '.join(asked)} {'do' if len(asked) > 1 else 'does'} not apply to"
            f" {', '.join(target.name for target in chosen)}: no activation is stored as integers there",
            where=", ".join(asked),
            fix=f"add a target with integer activations ({names_with('int8', 'int16')}), or leave it out",
        )
    dtypes = {target.scheme.activation: target for target in chosen if target.scheme.needs_calibration}
    own = recipe.method if isinstance(recipe.method, OwnMethod) else None
    name = own.base if own is not None else recipe.method
    for dtype, target in dtypes.items():
        assert dtype != "float32"
        if isinstance(name, str):
            check_rung(name, dtype, target)
    if own is not None:
        check_knobs(own, [dtype for dtype in dtypes if dtype != "float32"])


def check_rung(name: str, dtype: ActivationType, target: Target) -> None:
    """EK106 for a rung that there is not, EK302 for one that these activations do not have."""
    if name in RUNGS[dtype]:
        return
    if any(name in rungs for rungs in RUNGS.values()):
        raise EdgekitError(
            "EK302",
            what=f"there is no method {name} for {dtype} activations, which {target.name} has",
            where="--method",
            fix=f"methods there: {', '.join(RUNGS[dtype])}; or export {target.name} on its own",
        )
    listed = "; ".join(f"{each}: {', '.join(rungs)}" for each, rungs in RUNGS.items())
    known = list(dict.fromkeys(rung for rungs in RUNGS.values() for rung in rungs))
    fix = did_you_mean(name, known, f"known are for {listed}; knobs of your own stand in a recipe's table [method]")
    raise EdgekitError("EK106", what=f"unknown method {name!r}", where="--method", fix=fix)


def check_knobs(own: OwnMethod, dtypes: Sequence[ActivationType]) -> None:
    """EK106 for knobs that exclude each other, EK302 for those that none of these activations have."""
    if own.equalize and own.expand:
        raise EdgekitError(
            "EK106",
            what="equalize and expand exclude each other: an expanded graph is not equalized",
            where="method",
            fix="leave one of them out",
        )
    known = {knob for dtype in dtypes for knob in KNOBS[dtype]}
    other = [knob for knob in KNOBS["int8"] if getattr(own, knob) is not None and knob not in known]
    if other:
        raise EdgekitError(
            "EK302",
            what=f"{' and '.join(other)} of [method] mean{'' if len(other) > 1 else 's'} nothing for"
            f" {', '.join(dtypes)} activations",
            where="method",
            fix=f"knobs there: {', '.join(KNOBS[dtypes[0]])}",
        )
