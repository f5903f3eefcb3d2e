"""`edgekit verify --layerwise`: the first operator that computes something else on a device than on this host."""

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.files import Bundle, sha256
from edgekit.devices.device import Device
from edgekit.devices.faults import untrusted
from edgekit.devices.run_model import RunRequest, open_device, run_model
from edgekit.errors import EdgekitError
from edgekit.graph.stored import to_stored
from edgekit.progress import Step
from edgekit.target import Cut, Layers, targets
from edgekit.verify.device import FLOAT_GATE
from edgekit.verify.first_difference import first_difference

HOST = "local"


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the file that ends at a cut is apart in the two places.

    Args:
        different: how many of `total` elements differ.
        steps: the largest difference in steps of an integer tensor; None for a float one.
        of_range: the largest difference as a fraction of the host's range.
    """

    cut: Cut
    different: int
    total: int
    steps: int | None
    of_range: float

    @property
    def matters(self) -> bool:
        """Integers are equal or not; floats may differ as another order of additions makes them."""
        if self.steps is not None:
            return self.different > 0
        return self.of_range > (FLOAT_GATE.max_abs or 0.0)

    def document(self) -> dict[str, Any]:
        """As JSON, which has no infinity: null stands for it."""
        return {
            "operator": self.cut.operator,
            "tensor": self.cut.tensor,
            "gives_output": self.cut.gives_output,
            "output": asdict(self.cut.output),
            "different": self.different,
            "total": self.total,
            "steps": self.steps,
            "of_range": self.of_range if math.isfinite(self.of_range) else None,
            "differs": self.matters,
        }


@dataclass(frozen=True, slots=True)
class Layerwise:
    """What the search found.

    Args:
        first: the first operator that differs although what it reads is equal, whichever output it leads to; None when
            every output is equal.
        tried: every cut that was run, in the order of the file.
        cuts: how many there are.
    """

    device: str
    first: Difference | None
    tried: tuple[Difference, ...]
    cuts: int

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "device": self.device,
            "first": self.first.document() if self.first else None,
            "tried": [difference.document() for difference in self.tried],
            "cuts": self.cuts,
        }


def search(bundle: Bundle, device_name: str, timeout_s: int, advance: Step) -> Layerwise:
    """Find the first operator of a bundle's file that differs, on any of its golden images.

    Args:
        advance: told how many files were run in both places, of at most how many.

    Raises:
        EdgekitError: EK302 for a file that cannot be cut, EK60x from the device.
    """
    target = targets.get(bundle.target)
    if target.layers is None:
        raise EdgekitError(
            "EK302", what=f"files of {target.name} cannot be cut", where="--layerwise", fix="leave it out"
        )
    layers: Layers = target.layers(bundle.model_file.read_bytes())
    seen: dict[int, Difference] = {}
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-") as folder,
        open_device(HOST) as host,
        open_device(device_name) as device,
    ):
        both = BothPlaces(bundle, layers, Path(folder), host, device, timeout_s)

        def differs(cut: Cut) -> bool:
            seen[cut.index] = both.compare(cut)
            advance(len(seen), len(layers.cuts))
            return seen[cut.index].matters

        first = first_difference(layers.cuts, differs)
    tried = tuple(seen[index] for index in sorted(seen))
    return Layerwise(device_name, seen[first.index] if first else None, tried, len(layers.cuts))


@dataclass(frozen=True, slots=True)
class BothPlaces:
    """A file that is run on the host and on a device, through the same runner protocol."""

    bundle: Bundle
    layers: Layers
    folder: Path
    host: Device
    device: Device
    timeout_s: int

    def compare(self, cut: Cut) -> Difference:
        """Run the file until `cut` in both places."""
        data = self.layers.until(cut)
        file = self.folder / "model"
        file.write_bytes(data)
        request = RunRequest(
            targets.get(self.bundle.target).runtime,
            file,
            sha256(data),
            to_stored(self.bundle.inputs, self.bundle.input).tobytes(),
            timeout_s=self.timeout_s,
        )
        here, there = (self._run(place, request, cut) for place in (self.host, self.device))
        if here.shape != there.shape:
            raise untrusted(f"{cut.tensor} has another size than on this host", self.device.address.name)
        return measure(cut, here, there)

    @staticmethod
    def _run(place: Device, request: RunRequest, cut: Cut) -> NDArray[Any]:
        """The cut's tensor, of all images."""
        result, outputs = run_model(place, request)
        if [tensor.dtype for tensor in result.outputs] != [cut.output.dtype]:
            raise untrusted(f"{cut.tensor} did not come as one {cut.output.dtype} tensor", place.address.name)
        [data] = outputs.values()
        return np.frombuffer(data, cut.output.dtype)


def measure(cut: Cut, here: NDArray[Any], there: NDArray[Any]) -> Difference:
    """How far a tensor is apart in two places. What is no number in both places is equal; in one, infinitely far."""
    same = (here == there) | ((here != here) & (there != there))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(here.astype(np.float64) - there.astype(np.float64)))
    largest = float(np.nan_to_num(error, nan=np.inf).max(initial=0.0))
    numbers = here[np.isfinite(here)].astype(np.float64)
    spread = float(np.ptp(numbers)) if numbers.size else 0.0
    return Difference(
        cut,
        int(np.count_nonzero(~same)),
        here.size,
        None if here.dtype.kind == "f" else round(largest),
        largest / spread if spread else largest,
    )
