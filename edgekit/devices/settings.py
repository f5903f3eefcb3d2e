"""devices.toml: names for devices, in the project's folder and in the user's configuration.

    [devices.pi4]
    uri = "ssh://pi@raspberrypi.local"
    runner = "python"
    python = "/home/pi/venv/bin/python"

Errors: EK106 names the file and the key.
"""

import os
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from edgekit.devices.device import Address, drivers
from edgekit.environment import config_dir
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.files import read_regular

FILE = "devices.toml"
LARGEST_FILE = 1 << 24  # bytes
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FOLDER = re.compile(r"/?[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_.][A-Za-z0-9._-]*)*")
_PROGRAM = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9._/+-]*")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.]+")
_KEYS = {field.name for field in fields(Address)} - {"name", "scheme", "rest"}


def files() -> list[Path]:
    """The files that are read, the project's before the user's; $EDGEKIT_DEVICES names another one instead."""
    chosen = os.environ.get("EDGEKIT_DEVICES")
    candidates = [Path(chosen)] if chosen else [Path(FILE), config_dir() / FILE]
    # A folder without rights (another user's home) holds no configuration of this one; neither does a name too long.
    return [file for file in candidates if os.path.isfile(file)]


def configured() -> dict[str, Address]:
    """Name -> device, from all files; the project's file wins over the user's."""
    found: dict[str, Address] = {}
    for file in files():
        for name, address in _read(file).items():
            found.setdefault(name, address)
    return found


def find(name: str) -> Address:
    """The device that the user means by `name`: from devices.toml, or a URI; EK101 when it is neither."""
    known = configured()
    return known[name] if name in known else parse_uri(name, name, sorted(known))


def parse_uri(uri: str, name: str, known: list[str] | None = None, **options: Any) -> Address:
    """`scheme:rest`, `scheme://rest` or `scheme` -> an Address; EK101 for a scheme that no driver has."""
    scheme, _, rest = uri.partition(":")
    if scheme not in drivers:
        forms = [driver.form for driver in drivers]
        fix = did_you_mean(uri, [*(known or []), *drivers.names()], f"a name from {FILE}, or {', '.join(forms)}")
        raise EdgekitError("EK101", what=f"unknown device {uri!r}", where=name, fix=fix)
    return Address(name=name, uri=uri, scheme=scheme, rest=rest.removeprefix("//"), **options)


def _read(file: Path) -> dict[str, Address]:
    try:
        document = tomllib.loads(read_regular(file, LARGEST_FILE, FILE).decode())
    except EdgekitError as error:
        raise _wrong(file, error.what) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _wrong(file, f"it cannot be read: {error}") from error
    tables = document.get("devices", {})
    if document.keys() - {"devices"} or not isinstance(tables, dict):
        raise _wrong(file, "it may hold tables [devices.NAME] only")
    return {name: _address(file, name, table) for name, table in tables.items()}


def _address(file: Path, name: str, table: object) -> Address:
    if not _NAME.fullmatch(name):
        raise _wrong(file, f"{name!r} is no name for a device")
    if not isinstance(table, dict) or not isinstance(table.get("uri"), str):
        raise _wrong(file, f"devices.{name} has no uri")
    if unknown := sorted(table.keys() - _KEYS):
        raise _wrong(file, f"devices.{name}.{unknown[0]} is not known; there are {', '.join(sorted(_KEYS))}")
    options = {key: _checked(file, f"devices.{name}.{key}", key, value) for key, value in table.items() if key != "uri"}
    return parse_uri(table["uri"], name, **options)


def _checked(file: Path, where: str, key: str, value: object) -> Any:
    """The value of a key, or EK106: folders, programs and requirements end up in commands."""
    if key == "memory_mb":
        right = isinstance(value, int) and not isinstance(value, bool) and value > 0
    elif key == "runner":
        right = value in ("c", "python")
    elif key == "packages":
        right = isinstance(value, list) and all(isinstance(v, str) and _REQUIREMENT.fullmatch(v) for v in value)
    else:
        form = _FOLDER if key == "folder" else _PROGRAM
        right = isinstance(value, str) and bool(form.fullmatch(value)) and ".." not in value
    if not right:
        raise _wrong(file, f"{where} = {value!r} cannot be used")
    return tuple(value) if isinstance(value, list) else value


def _wrong(file: Path, what: str) -> EdgekitError:
    return EdgekitError("EK106", what=what, where=str(file), fix="see docs/devices.md")


def available() -> list[str]:
    """Names of the configured devices, then the URIs of those that are there without being configured."""
    known = configured()
    taken = {address.uri for address in known.values()}
    found = [uri for driver in drivers for uri in driver.discover()]
    return [*known, *(uri for uri in found if uri not in taken)]
