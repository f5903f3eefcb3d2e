"""What a field says of itself, and whether what a user gave fits it.

The fields of a recipe are filled by the command line, by a TOML file and by Python. What a field takes stands once, in
an Option and in Values beside its type, so that the three agree, and a mistake is told in the same words everywhere.
"""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache, reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from edgekit.errors import EdgekitError, Table, did_you_mean

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    dict: "a table of numbers, texts, true and false",
}
SEVERAL: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts"}
SHOWN = reprlib.Repr()
"""What was given, in a message of one line."""
SHOWN.maxstring = SHOWN.maxother = 60


@dataclass(frozen=True, slots=True)
class Option:
    """How the command line has a field.

    Args:
        help: what it is for; the field's default is added to it.
        metavar: what stands for its value.
        names: all of them; empty: the field's own name.
        limits: what the value cannot leave, as the help shows it.
        is_argument: whether it is told by its place, without a name.
        flag: the value that the name alone stands for.
    """

    help: str
    metavar: str = ""
    names: tuple[str, ...] = ()
    limits: str = ""
    is_argument: bool = False
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Values:
    """Which values a field takes, beyond their type.

    Args:
        low, high: the first and the last of them.
        read: other spellings -> the value; a ValueError says what is wrong with one.
        check: a ValueError says what is wrong with a value of the right type.
    """

    low: float | None = None
    high: float | None = None
    read: Callable[[Any], Any] | None = None
    check: Callable[[Any], None] | None = None

    @property
    def words(self) -> str:
        """The bounds, behind the words for the type."""
        if self.high is not None:
            return f" from {self.low} to {self.high}"
        return "" if self.low is None else f" of at least {self.low}"

    def hold(self, value: Any) -> bool:
        """Whether a number lies within; NaN does not."""
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value.

    Args:
        key: its field, behind the tables that it is in ("preprocess.mean").
    """

    key: str
    what: str
    fix: str = ""


class Unfit(Exception):
    """A value that a field does not take, for one reason or several."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*(problem.what for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Key:
    """One field of a record.

    Args:
        type: without what is said beside it.
        default: MISSING where there is none, or where it is made.
    """

    name: str
    type: Any
    default: Any
    needed: bool
    option: Option | None = None
    values: Values = Values()

    @property
    def record(self) -> Any:
        """The record that a table becomes, the first of several; None where the field takes no table."""
        return next((kind for kind in kinds(self.type) if is_dataclass(kind)), None)

    @property
    def options(self) -> "tuple[Key, ...]":
        """The options of the command line that fill it: its own, or those of its table."""
        if self.option is not None:
            return (self,)
        return () if self.record is None else tuple(k for k in keys_of(self.record).values() if k.option is not None)

    def take(self, given: Any, within: str = "") -> Any:
        """The value as the field's type.

        Raises:
            Unfit: the field does not take it.
        """
        key = within + self.name
        if given is None and NoneType in get_args(self.type):
            return None
        try:
            value = self._typed(given if self.values.read is None else self.values.read(given), f"{key}.")
            if not self.values.hold(value):
                raise ValueError
            if self.values.check is not None:
                self.values.check(value)
        except ValueError as error:
            wanted = f"is {SHOWN.repr(given)}, it must be {words(self.type)}{self.values.words}"
            what = f"{key}: {error}" if str(error) else f"{key} {wanted}"
            raise Unfit(Problem(key, what, self._near(given))) from None
        return value

    def _typed(self, given: Any, within: str) -> Any:
        records: list[Any] = [kind for kind in kinds(self.type) if is_dataclass(kind)]
        for record in records:
            if isinstance(given, record):
                return record(**fill(record, {f.name: getattr(given, f.name) for f in fields(record)}, within))
        if records and isinstance(given, Mapping):
            return records[0](**fill(records[0], given, within))
        plain = [kind for kind in kinds(self.type) if kind not in records]
        if not plain:
            raise ValueError
        return converted(reduce(or_, plain), given)

    def _near(self, given: Any) -> str:
        """A near miss among the values, where they are listed."""
        listed = [value for kind in kinds(self.type) if get_origin(kind) is Literal for value in get_args(kind)]
        return did_you_mean(given, listed, "") if isinstance(given, str) else ""


@cache
def keys_of(record: Any) -> dict[str, Key]:
    """The fields of a dataclass by name, in its order."""
    hints = get_type_hints(record, include_extras=True)
    return {field.name: _key(field, hints[field.name]) for field in fields(record)}


def _key(field: Field[Any], hint: Any) -> Key:
    kind, *said = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    return Key(
        field.name,
        kind,
        field.default,
        needed=field.default is MISSING and field.default_factory is MISSING,
        option=next((each for each in said if isinstance(each, Option)), None),
        values=next((each for each in said if isinstance(each, Values)), Values()),
    )


def fill(record: Any, given: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """The values of a record's fields, each as its field's type.

    Args:
        within: the table that the record is, with a dot behind it.

    Raises:
        Unfit: a key that the record does not have, a value that its field does not take, a field without a value. All
            of them are told.
    """
    keys, values = keys_of(record), {}
    problems = [_missing(key, within) for key in keys.values() if key.needed and key.name not in given]
    for name, value in given.items():
        if name not in keys:
            problems.append(_unknown(name, keys, within))
            continue
        try:
            values[name] = keys[name].take(value, within)
        except Unfit as unfit:
            problems += unfit.problems
    if problems:
        raise Unfit(*problems)
    return values


def _missing(key: Key, within: str) -> Problem:
    said = f"give {' or '.join(key.option.names) or key.name}: {key.option.help}" if key.option else ""
    return Problem(within + key.name, f"{within}{key.name} is missing", said)


def _unknown(name: str, keys: Mapping[str, Key], within: str) -> Problem:
    there = f"the table {within.removesuffix('.')} has" if within else "there is"
    fix = did_you_mean(str(name), list(keys), f"known are: {', '.join(keys)}")
    return Problem(f"{within}{name}", f"{there} no option {str(name)!r}", fix)


def refusal(problems: Sequence[Problem], help_command: str = "edgekit export --help") -> EdgekitError:
    """EK106 with the first problem, the options of all of them, and a line for each where there are several."""
    first = problems[0]
    return EdgekitError(
        "EK106",
        what=first.what,
        where=", ".join(sorted({problem.key.partition(".")[0] for problem in problems})),
        fix=first.fix or f"see: {help_command}",
        table=Table(("option", "problem", "fix"), tuple((p.key, p.what, p.fix) for p in problems))
        if len(problems) > 1
        else None,
    )


def kinds(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a type, None aside."""
    alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(kind for kind in alternatives if kind is not NoneType)


def words(hint: Any) -> str:
    """The values of a type in words; "any value" for one that says nothing of them."""
    return " or ".join(dict.fromkeys(map(_word, kinds(hint))))


def _word(kind: Any) -> str:
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if get_origin(kind) is tuple:
        count = "a list of" if inner[-1] is Ellipsis else str(len(inner))
        return f"{count} {SEVERAL.get(inner[0], 'values')}"
    return "a table" if is_dataclass(kind) else WORDS.get(get_origin(kind) or kind, "any value")


def converted(kind: Any, given: Any) -> Any:
    """A value as a type has it: "5" is 5, [1, 2] is (1, 2). True is no number, and neither are NaN and infinity.

    Raises:
        ValueError: without words, for a value that the type does not have.
    """
    from pydantic import ValidationError

    if isinstance(given, bool) and not {bool, Any}.intersection(kinds(kind)):
        raise ValueError
    try:
        return _adapter(kind).validate_python(given)
    except ValidationError:
        raise ValueError from None


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))
