"""The diagnosis that an export left in its bundle, or in the folder of a failed gate."""

import json
from pathlib import Path
from typing import Any

from edgekit.bundle.files import MANIFEST
from edgekit.errors import EdgekitError


def read_diagnosis(folder: Path) -> dict[str, Any]:
    """The diagnosis document, with the quality and the method it was exported with.

    Raises:
        EdgekitError: EK102 without a manifest there, EK110 for one that cannot be read, EK204 for a file whose numbers
            edgekit did not choose: float, or quantized elsewhere.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        quantization = manifest.get("quantization")
    except OSError as error:
        raise EdgekitError(
            "EK102", what="no bundle there", where=str(folder), fix="name the folder that export printed"
        ) from error
    except (ValueError, AttributeError) as error:
        raise EdgekitError(
            "EK110", what=f"{MANIFEST} cannot be read: {error}", where=str(folder), fix="export it again"
        ) from error
    if not quantization or not quantization.get("diagnosis"):
        raise EdgekitError(
            "EK204",
            what="nothing in this bundle was quantized by edgekit, so no layer can be compared",
            where=str(folder),
            fix="diagnose the bundle of an int8 or int16x8 target of a float model",
        )
    return {"quality": quantization["quality"], "method": quantization["method"], **quantization["diagnosis"]}
