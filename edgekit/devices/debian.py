"""arm64 packages of Debian, fetched beside the host's own package system: nothing of it is changed."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.devices.device import missing_tool
from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError

TIMEOUT_S = 600


def unpack(packages: Sequence[str], folder: Path) -> None:
    """Download packages of the host's own Debian release for arm64 and unpack them into `folder`.

    Raises:
        EdgekitError: EK609 where apt is absent, or does not have a package.
    """
    for tool, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
        if shutil.which(tool) is None:
            raise missing_tool(tool, package, "arm64 packages")
    with tempfile.TemporaryDirectory(prefix="edgekit-") as downloads:
        _apt(["download", "-q", *packages], Path(downloads))
        for file in sorted(Path(downloads).glob("*.deb")):
            _run(["dpkg-deb", "-x", str(file), str(folder)], Path(downloads))


def _apt(command: list[str], cwd: Path) -> None:
    """apt-get with lists and state of its own; the sources are the host's."""
    state = cache_dir().absolute() / "apt-arm64"
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    updated = state / "updated"
    if not updated.exists():
        _run(["apt-get", *options, "update", "-q"], cwd)
        updated.touch()
    _run(["apt-get", *options, *command], cwd)


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise EdgekitError(
            "EK609",
            what=f"{command[0]} failed: {reason}",
            where="arm64 packages",
            fix="check the network and apt's sources",
        )
