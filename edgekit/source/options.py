"""The options of a zoo builder: what its signature and its docstring say of them, and whether given values fit."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from edgekit.errors import EdgekitError, did_you_mean
from edgekit.options import converted, words

CLASSES = "num_classes"


@dataclass(frozen=True, slots=True)
class Option:
    """A keyword argument of a builder.

    Args:
        type: what it is annotated with; Any without an annotation.
        default: None also where the builder has none.
        meaning: its line of the docstring's Args.
    """

    name: str
    type: Any
    default: Any
    meaning: str

    @property
    def takes(self) -> str:
        """The values in words."""
        return words(self.type)


def options_of(make: Callable[..., Any]) -> tuple[Option, ...]:
    """All options but the number of classes, in the signature's order."""
    types, meanings = get_type_hints(make), _meanings(make)
    parameters = inspect.signature(make).parameters.values()
    return tuple(
        Option(p.name, types.get(p.name, Any), None if p.default is p.empty else p.default, meanings.get(p.name, ""))
        for p in parameters
        if p.name != CLASSES
    )


def check_options(make: Callable[..., Any], given: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The given values as the builder's types: "no" is False where it takes a bool, "0.5" a number where it takes one.

    Errors:
        EK106 the builder has no such option, or its type holds no such value.
    """
    known = {option.name: option for option in options_of(make)}
    return {name: _checked(known, name, value, model) for name, value in given.items()}


def _checked(known: Mapping[str, Option], name: str, value: Any, model: str) -> Any:
    if name == CLASSES:
        raise _refused(f"{name} is no option of {model}", "give the number of classes as --num-classes")
    if name not in known:
        listed = f"options it takes: {', '.join(known) or 'none'}"
        near = did_you_mean(name, list(known), "")
        raise _refused(f"{model} has no option {name!r}", f"{near} {listed}".strip())
    option = known[name]
    try:
        return converted(option.type, value)
    except ValueError as error:
        raise _refused(
            f"{name} of {model} is {value!r}, it must be {option.takes}", f"{name}: {option.meaning}"
        ) from error


def _refused(what: str, fix: str) -> EdgekitError:
    return EdgekitError("EK106", what=what, where="model_args", fix=fix)


def _meanings(make: Callable[..., Any]) -> dict[str, str]:
    """Parameter -> text, from the Args of a docstring."""
    _, _, section = (inspect.getdoc(make) or "").partition("Args:\n")
    lines = re.split(r"\n\s*\n", section)[0]
    entries = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", lines, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
