"""Names are data: what a file, a tensor or a device is called must not steer a terminal or a CI log."""

import unicodedata

SILENT = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of characters that move the cursor, change the direction of what follows, end a line, or are no text."""


ELLIPSIS = "..."


def printable(text: str) -> str:
    """The text on one line, with `?` for every control character, mark of direction and half of a character.

    Without it a file called `a<newline>::error::` writes an annotation of its own into a GitHub log, and an escape
    sequence in a tensor's name colours, moves or retitles the reader's terminal.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("?" if unicodedata.category(character) in SILENT else character for character in text)


def shortened(text: str, most: int = 60) -> str:
    """The text with at most `most` characters: its middle left out where it has more.

    For a cell of a table: one long name takes the width from every other column, and folds their figures.
    """
    if len(text) <= most:
        return text
    kept = most - len(ELLIPSIS)
    return text[: kept // 2] + ELLIPSIS + text[len(text) - (kept - kept // 2) :]
