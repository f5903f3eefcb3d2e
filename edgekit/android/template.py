"""Source files of other languages with `@NAME@` marks."""

import re
from collections.abc import Mapping
from importlib.resources import files

MARK = re.compile(r"@([A-Z][A-Z0-9_]*)@")


def render(path: str, values: Mapping[str, str]) -> str:
    """The template `path` of edgekit/android/templates/ with its marks replaced; KeyError without a value."""
    text = (files(__package__) / "templates" / path).read_text(encoding="utf-8")
    return MARK.sub(lambda mark: values[mark.group(1)], text)
