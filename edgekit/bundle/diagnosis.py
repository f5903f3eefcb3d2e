"""The diagnosis that an export left in its bundle, or in the folder of a failed gate."""

from pathlib import Path
from typing import Any

from edgekit.bundle.layout import MANIFEST
from edgekit.bundle.schema import parsed
from edgekit.errors import EdgekitError
from edgekit.files import is_folder, read_regular

LARGEST_DOCUMENT = 1 << 26  # bytes


def read_diagnosis(folder: Path) -> dict[str, Any]:
    """The diagnosis document, with the quality and the method it was exported with.

    Raises:
        EdgekitError: EK102 without a manifest there, EK110 for one that cannot be read, EK204 for a file whose numbers
            edgekit did not choose: float, or quantized elsewhere.
    """
    if not is_folder(folder, "the bundle"):
        fix = "name the folder that export printed"
        raise EdgekitError("EK102", what="no bundle there", where=str(folder), fix=fix)
    data = read_regular(folder / MANIFEST, LARGEST_DOCUMENT, "the bundle")
    try:
        quantization: dict[str, Any] = parsed(MANIFEST, data).get("quantization") or {}
        if diagnosis := quantization.get("diagnosis"):
            return {"quality": quantization["quality"], "method": quantization["method"], **diagnosis}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise EdgekitError(
            "EK110", what=f"{MANIFEST} cannot be read: {error}", where=str(folder), fix="export it again"
        ) from error
    raise EdgekitError(
        "EK204",
        what="nothing in this bundle was quantized by edgekit, so no layer can be compared",
        where=str(folder),
        fix="diagnose the bundle of an int8 or int16x8 target of a float model",
    )
