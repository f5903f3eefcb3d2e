"""Calibration and quantization: from a float graph to a QDQ graph."""

from edgekit.quant.calibrate import calibrate
from edgekit.quant.observers import Range
from edgekit.quant.parameters import QParams
from edgekit.quant.qdq import quantize

__all__ = ["QParams", "Range", "calibrate", "quantize"]
