"""What the fixture `edgekit_device` gives: a device held for the session, and what its results are compared with.

Loaded with every pytest that has edgekit installed, so it imports nothing heavy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.devices.device import Device, DeviceInfo


@dataclass(slots=True)
class UnderTest:
    """A device in a test session.

    Args:
        baseline: results to compare with, as `edgekit bench --history` wrote them; None: there are none.
        history: where this session's results are appended; None: nowhere.
    """

    device: "Device"
    baseline: Sequence[dict[str, Any]] | None = field(default=None, repr=False)
    history: Path | None = None

    @property
    def name(self) -> str:
        return self.device.address.name

    def info(self) -> "DeviceInfo":
        return self.device.info()
