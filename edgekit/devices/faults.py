"""From what a device answered to the error that says what is wrong with it."""

from collections.abc import Sequence

from edgekit.devices.device import Completed, printable
from edgekit.errors import EdgekitError

# Of the words that shells, loaders, adb and both runners use; the first that is found decides.
_SIGNS: tuple[tuple[str, Sequence[str]], ...] = (
    ("EK605", ("no space left on device", "disk quota exceeded", "enospc")),
    (
        "EK607",
        (
            "cannot allocate memory",
            "memoryerror",
            "bad_alloc",
            "failed to map",
            "cannot map",
            "out of memory",
            "enomem",
        ),
    ),
    (
        "EK606",
        (
            "exec format error",
            "cannot execute",
            "invalid elf",
            "wrong elf class",
            "elf load command",
            "syntax error",  # a shell that takes a foreign program for a script
            "cannot open shared object",
        ),
    ),
)
_KILLED = (137, -9)
"""SIGKILL as a shell and as Python report it: nobody but the kernel's memory killer sends it there."""
_NOT_STARTED = (126, 127, 132, -4)
"""A shell's words for "cannot be executed" and "not found", and SIGILL: instructions that this CPU does not have."""

WHAT = {
    "EK605": "the device's storage is full",
    "EK606": "the device cannot run the program",
    "EK607": "the device is out of memory",
    "EK610": "the runner failed",
}
FIX = {
    "EK605": "free some space there, or set another folder: in devices.toml, or EDGEKIT_CACHE for this host",
    "EK606": 'check the CPU with: edgekit devices; a board with its own Python: runner = "python" in devices.toml',
    "EK607": "close other programs there, or use a smaller model",
    "EK610": "run it there by hand, or report this with: edgekit doctor",
}
NO_PACKAGE = "install it there with pip, for the Python that devices.toml names: python = PATH"
_NO_PACKAGE = ("No module named", "is installed")
"""Words of Python, and of a runner that looked for a package: the device's own Python has no runtime."""


def code_for(text: str, exit_code: int, otherwise: str = "EK610") -> str:
    """The error code that a message and an exit code stand for."""
    lowered = text.lower()
    for code, signs in _SIGNS:
        if any(sign in lowered for sign in signs):
            return code
    if exit_code in _KILLED:
        return "EK607"
    return "EK606" if exit_code in _NOT_STARTED else otherwise


def failure(code: str, message: str, where: str) -> EdgekitError:
    """An EK605, EK606, EK607 or EK610 with the device's own words."""
    what = f"{WHAT[code]}: {printable(message)}"
    fix = NO_PACKAGE if any(sign in message for sign in _NO_PACKAGE) else FIX[code]
    return EdgekitError(_one_of(code, "EK605", "EK606", "EK607", "EK610"), what=what, where=where, fix=fix)


def _one_of(code: str, *possible: str) -> str:
    assert code in possible
    return code


def check(done: Completed, where: str) -> Completed:
    """`done` when it ended with 0, otherwise the error that its words stand for."""
    if done.exit_code != 0:
        text = done.stderr.decode("utf-8", "replace")
        raise failure(code_for(text, done.exit_code), done.message, where)
    return done


def unreachable(what: str, where: str, fix: str) -> EdgekitError:
    """EK601: it is not there, or does not answer."""
    return EdgekitError("EK601", what=printable(what), where=where, fix=fix)


def lost(what: str, where: str) -> EdgekitError:
    """EK602: it was there, and went away in the middle."""
    return EdgekitError(
        "EK602",
        what=f"the connection was lost: {printable(what)}",
        where=where,
        fix="check cable, network and power, then run the command again",
    )


def expired(timeout_s: float, where: str) -> EdgekitError:
    """EK603."""
    return EdgekitError(
        "EK603",
        what=f"no end after {timeout_s:g} s; the program was killed",
        where=where,
        fix="see whether the device is busy; a slow one needs a longer --timeout",
    )


def untrusted(what: str, where: str) -> EdgekitError:
    """EK608: what came back cannot be right."""
    return EdgekitError(
        "EK608",
        what=printable(what),
        where=where,
        fix=f"run it again; if it stays, put the runner there anew: edgekit devices setup {where}",
    )
