"""What a measurement was made on."""

import os
import platform
from pathlib import Path

import onnxruntime
import torch
from ai_edge_litert import __version__ as litert_version

from edgekit.graph.session import VNNI

BUSY_LOAD = 1.5
"""Of the last five minutes: this process alone makes 1."""


def machine() -> str:
    """What the latencies are of."""
    cpu, simd = processor()
    versions = f"ai-edge-litert {litert_version}, onnxruntime {onnxruntime.__version__}, torch {torch.__version__}"
    busy = ", while it was busy with other work" if os.getloadavg()[1] > BUSY_LOAD else ""
    return f"{cpu}, {platform.machine()} ({', '.join(simd)}), {versions}{busy}"


def processor() -> tuple[str, list[str]]:
    """The CPU's name and those of its instruction sets that kernels are chosen by."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    simd = [name for name in ("avx2", "avx512f", *VNNI) if name in flags]
    return fields.get("model name", platform.processor()), simd if set(simd) & set(VNNI) else [*simd, "no VNNI"]
