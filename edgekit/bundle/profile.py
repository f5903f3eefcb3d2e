"""What `edgekit profile` measured of a bundle's file: profile.json beside it, and a section of its report.

The bundle's own files stay as they were written; the next export writes a report without the section.
"""

import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgekit.bundle.layout import PROFILE, REPORT
from edgekit.errors import EdgekitError
from edgekit.files import read_regular

LARGEST_REPORT = 1 << 28  # bytes
BEGIN, END = "<!--profile-->", "<!--/profile-->"
SECTION = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)


def read_profiles(folder: Path) -> dict[str, dict[str, Any]]:
    """Device -> document; nothing where there is no such file, or one that cannot be read."""
    try:
        document = json.loads(read_regular(folder / PROFILE, LARGEST_REPORT, PROFILE))
    except (EdgekitError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def keep_profile(folder: Path, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Add a device's profile to the bundle; all that are of the same file. EK702 when it cannot be written."""
    old = read_profiles(folder)
    same = {
        device: kept
        for device, kept in old.items()
        if isinstance(kept, dict) and kept.get("sha256") == document["sha256"]
    }
    profiles = dict(sorted({**same, document["device"]: document}.items()))
    _write(folder / PROFILE, json.dumps(profiles, indent=2) + "\n")
    return profiles


def show_in_report(folder: Path, section: str) -> None:
    """Put a section before the report's footer, in place of an older one; a bundle without a report has none."""
    try:
        page = read_regular(folder / REPORT, LARGEST_REPORT, REPORT).decode()
    except (EdgekitError, UnicodeDecodeError):
        return
    page = SECTION.sub("", page)
    before, footer, after = page.rpartition("<footer>")
    if footer:
        _write(folder / REPORT, f"{before}{BEGIN}{section}{END}{footer}{after}")


def _write(file: Path, text: str) -> None:
    """Beside, then renamed: it appears whole or not at all."""
    beside = None
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        with open(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(beside, 0o644)
        os.replace(beside, file)
    except OSError as error:
        if beside is not None:
            with suppress(OSError):
                os.unlink(beside)
        raise EdgekitError(
            "EK702",
            what=f"the profile cannot be kept: {error.strerror}",
            where=str(file),
            fix="make the bundle's folder writable, or add --no-keep",
        ) from error
