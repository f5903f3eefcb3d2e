"""What the documents print for a reader to type: commands, and snippets of Python and TOML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("edgekit", "pytest", "python", "pip", "pre-commit", ".ci/run", "adb", "ssh", "ssh-copy-id", "apt-get")
PROGRAM = "|".join(re.escape(name) for name in PROGRAMS)
LINE = re.compile(rf"\s*(?:- )?(?:run: )?(?:\$ )?((?:[A-Z_]+=\S+ )*(?:sudo )?(?:{PROGRAM})(?: .*)?)")
"""A line of its own, also as a step of a workflow."""
QUOTED = re.compile(rf"(?:sudo )?(?:{PROGRAM})(?: .*)?")
FENCE = re.compile(r"\s*```(\w*)")
SNIPPET = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command line as it is printed, and the document that prints it."""

    document: str
    line: str

    def __str__(self) -> str:
        return f"{self.document}: {self.line}"


def commands_of(text: str) -> Iterator[str]:
    """Commands in a document: lines of their own and in backticks, comments left out, continued lines joined.

    A program's name alone in a sentence is no command.
    """
    language = None
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if fence := FENCE.match(line):
            language = None if language is not None else fence[1]
            continue
        found = LINE.fullmatch(line)
        if found and (line.startswith("    ") if language is None else language in ("", "sh", "yaml")):
            yield found[1].split(" # ")[0].strip()
        elif language is None:
            for quoted in re.findall(r"`([^`]+)`", line):
                if QUOTED.fullmatch(quoted) and (" " in quoted or quoted in (".ci/run", "ssh-copy-id")):
                    yield quoted


def snippets(language: str) -> list[tuple[str, str]]:
    """Fenced blocks of a language: (document, text), in order."""
    return [
        (name(path), text)
        for path in DOCUMENTS
        for found, text in SNIPPET.findall(path.read_text())
        if found == language
    ]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


COMMANDS = list(
    dict.fromkeys(Command(name(path), line) for path in DOCUMENTS for line in commands_of(path.read_text()))
)
"""All of them, in the order in which they are read, a line once per document."""
