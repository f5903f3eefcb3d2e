"""Options that commands take from the recipe: what each says of itself stands at its field, once."""

import ast
import contextlib
import inspect
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from edgekit.errors import EdgekitError
from edgekit.options import Key, keys_of, kinds
from edgekit.recipe import Recipe

QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
JsonFlag = Annotated[bool, typer.Option("--json", help="print one JSON document on stdout")]

Command = Callable[..., None]
CHOICES = "choices"
"""The parameter of a command that gets what was given for the fields of the recipe, by their names."""


def with_options(*names: str, of: Any = Recipe) -> Callable[[Command], Command]:
    """Put options in the place of a command's parameter `choices`.

    Args:
        names: fields of the record; none: all that the command line has.
        of: the record whose fields are options.
    """

    def decorate(command: Command) -> Command:
        keys = [key for key in keys_of(of).values() if key.options and key.name in (names or (key.name,))]

        @wraps(command)
        def run(**given: Any) -> None:
            typed = {option.name for key in keys for option in key.options}
            own = {name: value for name, value in given.items() if name not in typed}
            command(**own, **{CHOICES: choices_of(keys, given)})

        parameters = list(_parameters(command, keys))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def choices_of(keys: Iterable[Key], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the recipe reads of a command's parameters, by fields; without those that were not given."""
    chosen = {key.name: _value(key, given[key.name]) if key.option else _table(key, given) for key in keys}
    return {name: value for name, value in chosen.items() if value is not None}


def _table(key: Key, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was given for the fields of a table; None where nothing was."""
    table = {option.name: _value(option, given[option.name]) for option in key.options}
    return {name: value for name, value in table.items() if value is not None} or None


def _parameters(command: Command, keys: Iterable[Key]) -> Iterator[inspect.Parameter]:
    """The command's own parameters, with the options in the place of `choices`."""
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == CHOICES:
            yield from (_parameter(option) for key in keys for option in key.options)
        else:
            yield parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)


def _parameter(key: Key) -> inspect.Parameter:
    """A field of the recipe as a parameter that typer reads; None means that it was not given."""
    hint: Any = _typed(key) | None
    said = Annotated[hint, _option(key)]
    return inspect.Parameter(key.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=said)


def _option(key: Key) -> Any:
    option = key.option
    assert option is not None, key.name
    if option.is_argument:
        return typer.Argument(help=option.help)
    silent = key.default in (MISSING, None, ()) or key.default is False
    default = "" if silent else f"  [default: {key.default}]"
    limits = f"  [{option.limits}]" if option.limits else ""
    names = option.names or (f"--{key.name.replace('_', '-')}",)
    return typer.Option(*names, metavar=option.metavar or None, help=f"{option.help}{default}{limits}")


def _typed(key: Key) -> Any:
    """What the parser makes of the text: numbers and paths; text where the recipe knows better."""
    kind = kinds(key.type)[0]
    if key.option is not None and key.option.flag:
        return bool
    if is_repeatable(key):
        return list[str]
    return kind if kind in (int, float, bool, Path) else str


def is_repeatable(key: Key) -> bool:
    """Whether an option may be given several times."""
    return get_origin(key.type) is dict or key.type == tuple[str, ...]


def _value(key: Key, given: Any) -> Any:
    """What the recipe reads; None where nothing was given."""
    if is_repeatable(key) and not given:
        return None
    if key.option is not None and key.option.flag:
        return key.option.flag if given else None
    return parse_pairs(given) if get_origin(key.type) is dict else given


def parse_pairs(given: list[str]) -> dict[str, Any]:
    """`["alpha=0.5"]` -> {"alpha": 0.5}; numbers and true/false as TOML or Python write them, anything else is text."""
    parsed: dict[str, Any] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise EdgekitError(
                "EK106",
                what=f"{text!r} is not KEY=VALUE",
                where="--model-arg",
                fix="write for example --model-arg alpha=0.5",
            )
        parsed[key] = _read_value(value)
    return parsed


def _read_value(text: str) -> Any:
    with contextlib.suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(f"value = {text}")["value"]
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return text
