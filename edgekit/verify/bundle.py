"""What a bundle gives now, here and on devices: `edgekit verify` and `edgekit.verify`."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.bundle.files import Bundle
from edgekit.errors import EdgekitError
from edgekit.progress import Progress
from edgekit.verify.device import DeviceParity, Outcome, check_devices, raise_differences
from edgekit.verify.golden import GoldenResult, check_golden, raise_mismatch


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle's golden vectors, run again.

    Args:
        bundle: its folder.
        golden: what this host gives.
        devices: each device's name with what came of it; none is tried where this host gives other outputs than before.
    """

    bundle: str
    golden: GoldenResult
    devices: tuple[Outcome, ...] = ()

    @property
    def rows(self) -> list[DeviceParity]:
        """Of the devices that ran the file."""
        return [outcome for _, outcome in self.devices if not isinstance(outcome, EdgekitError)]

    @property
    def failure(self) -> EdgekitError | None:
        """What `raise_for_failures` raises; None where all is well."""
        try:
            self.raise_for_failures()
        except EdgekitError as error:
            return error
        return None

    @property
    def passed(self) -> bool:
        return self.failure is None

    def raise_for_failures(self) -> None:
        """Raise the first thing that is wrong. A device that failed stands before outputs that differ.

        Raises:
            EdgekitError: EK502 the outputs are not those of the export; EK60x from a device; EK503 a device gives other
                outputs than this host.
        """
        raise_mismatch(self.golden, self.bundle)
        for _, outcome in self.devices:
            if isinstance(outcome, EdgekitError):
                raise outcome
        raise_differences(self.rows, self.bundle)


def verify_bundle(bundle: Bundle, devices: Sequence[str], timeout_s: int, progress: Progress) -> Verified:
    """Run the golden vectors here and, where they hold, on every device."""
    here = Verified(str(bundle.path), check_golden(bundle))
    if here.failure is not None:
        return here
    return Verified(here.bundle, here.golden, tuple(check_devices(bundle, devices, timeout_s, progress)))
