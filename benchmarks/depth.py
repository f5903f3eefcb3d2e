"""What depth costs: one export to tflite-int8 of a chain of convolutions and of chains twice and four times as long.

    python benchmarks/depth.py --calibration DIR
    python benchmarks/depth.py --calibration DIR --layers 400 --doublings 2

The layers are permutations of eight channels with a little noise: a signal passes through any number of them, and the
gates hold. A ratio of 2 from one row to the next is linear growth; ONNX Runtime's start of a session grows faster.
"""

import argparse
import tempfile
from pathlib import Path

from process import timed
from rich.console import Console
from rich.table import Table

NET = """
import torch
from torch import nn

CHANNELS = 8

def layer(index):
    conv = nn.Conv2d(CHANNELS if index else 3, CHANNELS, 3, padding=1)
    if index:
        with torch.no_grad():
            conv.weight.normal_(0, 0.0005)
            conv.weight[:, :, 1, 1] += torch.eye(CHANNELS)[torch.randperm(CHANNELS)]
            conv.bias.zero_()
    return nn.Sequential(conv, nn.ReLU())

def chain():
    torch.manual_seed(0)
    layers = nn.Sequential(*map(layer, range({layers})))
    return nn.Sequential(layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 10)).eval()
"""


def cost(layers: int, calibration: str) -> tuple[float, float]:
    """(user + system seconds, peak MiB) of one export."""
    with tempfile.TemporaryDirectory() as folder:
        net = Path(folder) / "net.py"
        net.write_text(NET.replace("{layers}", str(layers)))
        arguments = ["export", f"{net}:chain", "--input-size", "32", "--target", "tflite-int8", "--quiet"]
        arguments += ["--calibration", calibration, "--samples", "16", "--out", str(Path(folder) / "build")]
        cpu_s, peak_mb, _ = timed(arguments)
    return cpu_s, peak_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--layers", type=int, default=400, help="of the shortest chain")
    parser.add_argument("--doublings", type=int, default=2)
    options = parser.parse_args()
    console, table, before = Console(), Table("layers", "CPU s", "ratio", "peak MiB"), 0.0
    for layers in (options.layers << step for step in range(options.doublings + 1)):
        cpu_s, peak_mb = cost(layers, options.calibration)
        table.add_row(str(layers), f"{cpu_s:.2f}", f"{cpu_s / before:.2f}" if before else "", f"{peak_mb:.0f}")
        before = cpu_s
    console.print(table)


if __name__ == "__main__":
    main()
