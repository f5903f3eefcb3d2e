"""One fuzzed input: the files and the command that reads them, what became of it, and what is wrong with that."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import CATALOGUE, EXIT_CODES

SECONDS = 60.0
ERROR = re.compile(r"^(?:\x1b\[[0-9;]*m)*(EK\d{3}|usage)(?:\x1b\[[0-9;]*m)*\s")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
KEPT = re.compile(r"cache/(locks/|devices/local/runner-)")
NOT_THE_INPUT = frozenset(("EK701", "EK702"))
"""A missing package and a disk that cannot be written: never what is wrong with an input."""


@dataclass(frozen=True)
class Case:
    """Files by their relative names, and the arguments of `edgekit` in the folder that holds them."""

    files: Mapping[str, bytes]
    argv: tuple[str, ...]

    def write(self, folder: Path) -> None:
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def save(self, folder: Path) -> None:
        """For a person: the files, and the command in cmd.sh."""
        self.write(folder)
        (folder / "cmd.sh").write_text(f"edgekit {shlex.join(self.argv)}\n", encoding="utf-8")


class Worker:
    """A forkserver of its own process."""

    def __init__(self) -> None:
        program = [sys.executable, str(Path(__file__).with_name("forkserver.py"))]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def faults(self, case: Case, folder: Path) -> list[str]:
        """Run `case` in the new `folder`, which is gone afterwards, and say what is wrong; nothing, as a rule."""
        for name in ("cwd", "tmp", "cache"):
            (folder / name).mkdir(parents=True)
        case.write(folder / "cwd")
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(
            json.dumps({"argv": list(case.argv), "folder": str(folder), "seconds": SECONDS}) + "\n"
        )
        self.process.stdin.flush()
        ended = json.loads(self.process.stdout.readline())
        try:
            return judged(case, ended, folder)
        finally:
            shutil.rmtree(folder)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


def judged(case: Case, ended: dict[str, int | None], folder: Path) -> list[str]:
    """Every rule that a run of `case` broke."""
    stderr = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
    if ended["hung"]:
        return [f"still ran after {SECONDS:.0f} s"]
    if ended["signal"]:
        return [f"ended by signal {ended['signal']}: {stderr[-300:]}"]
    code = ended["code"]
    if "Traceback (most recent call last)" in stderr:
        return ["traceback: " + " | ".join(stderr.strip().splitlines()[-6:])[-700:]]
    if code == 0:
        return []
    return message(code, stderr) + (left(case, folder) if code != 1 else [])


def message(code: int | None, stderr: str) -> list[str]:
    """What is wrong with the message of a command that failed with `code`."""
    found = [(match[1], line) for line in stderr.splitlines() if (match := ERROR.match(line))]
    if len(found) != 1:
        return [f"exit code {code} and {len(found)} error lines: {stderr[-300:]!r}"]
    name, line = found[0]
    expected = 2 if name == "usage" else EXIT_CODES[int(name[2])]
    wrong = [] if code == expected and (name == "usage" or name in CATALOGUE) else [f"exit code {code} with {name}"]
    if name in NOT_THE_INPUT:
        wrong.append(f"blames this host: {line[:300]}")
    if CONTROL.search(COLOUR.sub("", stderr)):
        wrong.append(f"control characters: {stderr[:300]!r}")
    return wrong


def left(case: Case, folder: Path) -> list[str]:
    """Files that a failed run left behind; a device's lock and runner are kept for the next run on purpose."""
    given = {Path("cwd", name) for name in case.files} | {Path("stdout"), Path("stderr")}
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} - given
    found |= {path.relative_to(folder) for path in (folder / "tmp").iterdir()}
    more = sorted(str(path) for path in found if not KEPT.match(str(path)))
    return [f"left behind: {more[:5]}"] if more else []
