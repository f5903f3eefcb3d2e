"""As a program: replaces a folder, and gets a signal at the n-th thing that it asks of the system.

replacement.py PLACE SIGNAL N [without-exchange]; N = 0 sends none. Prints how many there were.
"""

import os
import signal as signals
import sys
from pathlib import Path
from typing import Any

from edgekit.bundle import replace

NEW = {
    "manifest.json": b'{"format": 2, "model": "m", "target": "t", "files": {"a": {}, "golden/b": {}, "c": {}}}',
    "a": b"new",
    "golden/b": b"new",
    "c": b"new",
}


def main(place: Path, signal: int, at: int, exchange: bool) -> None:
    seen = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal)

    signals.signal(signals.SIGINT, signals.default_int_handler)  # a job in the background inherits that it is ignored
    if not exchange:
        replace.exchange = lambda first, second: False
    sys.addaudithook(count)
    replace.replace_folder(place, NEW)
    print(seen)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "without-exchange" not in sys.argv)
