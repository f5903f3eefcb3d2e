"""Source files of other languages with `@NAME@` marks."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

MARK = re.compile(r"@([A-Z][A-Z0-9_]*)@")
Marks = Mapping[str, str]


def render(path: str, values: Marks, rows: Sequence[Marks] = ()) -> str:
    """The template `path` of edgekit/android/templates/ with its marks replaced; KeyError without a value.

    Args:
        rows: one for each output, say. A line with one of their marks comes once for every row.
    """
    text = (files(__package__) / "templates" / path).read_text(encoding="utf-8")
    repeated = rows[0].keys() if rows else set()
    made = []
    for line in text.splitlines(keepends=True):
        chosen = rows if repeated & set(MARK.findall(line)) else ({},)
        made += [_fill(line, {**values, **row}) for row in chosen]
    return "".join(made)


def has_templates(folder: str) -> bool:
    """Whether edgekit/android/templates/ has that folder."""
    return (files(__package__) / "templates" / folder).is_dir()


def _fill(line: str, values: Marks) -> str:
    return MARK.sub(lambda mark: values[mark.group(1)], line)
