"""Printed lines that are not run here as they stand, each with the reason and with what is run instead.

A line is another one of `edgekit`, or a program with its words. Every other printed line is run as it is.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Instead:
    """Why a line is not run as printed.

    Args:
        run: the nearest line that is; empty: none, and the reason says where it is run.
        slow: too long for every commit.
    """

    why: str
    run: str = ""
    slow: bool = False


INSTALLED = Instead("installs into this environment; .ci/run does it, in a fresh one, as printed")
SYSTEM = "needs root, and changes this machine"
PROSE = "names the command in a sentence"

ELSEWHERE = {
    "pip install -c constraints.txt -e '.[dev]'": INSTALLED,
    "pip install 'edgekit[labgrid]'": Instead("downloads", "pip install --dry-run --no-deps 'edgekit[labgrid]'"),
    "pytest": Instead("is the run that this test belongs to", "pytest --collect-only -q tests/docs"),
    "pytest -m slow": Instead("is hours of which this test is a part", "pytest -m slow --collect-only -q tests/docs"),
    "pytest -m android": Instead(
        "collects everything; skips without SDK and phone", "pytest -m android -q tests/android", slow=True
    ),
    ".ci/run": Instead("is what runs this test", "bash -n .ci/run"),
    "ssh-copy-id": Instead("needs a password's owner", "ssh-copy-id -h"),
    "edgekit verify": Instead(PROSE, "edgekit verify BUNDLE"),
    "python benchmarks/cycles.py --markdown docs/cycles.md": Instead(
        "takes half an hour", "python benchmarks/cycles.py --help"
    ),
    "edgekit export": Instead(PROSE, "edgekit export mobilenet_v3_small --target tflite-int8"),
    "python benchmarks/zoo.py --images DIR": Instead("takes hours", "python benchmarks/zoo.py --help"),
    **{
        f"python benchmarks/latency.py MODELS --beside FILES --markdown docs/{name}.md": Instead(
            "takes hours, and other tools' files",
            f"python benchmarks/latency.py squeezenet1_1 --rounds 2 --repeats 1 --markdown {name}.md",
            slow=True,
        )
        for name in ("latency", "latency_avx2")
    },
    **{
        line: Instead(SYSTEM, line.replace("apt-get install", "apt-get install --simulate").removeprefix("sudo "))
        for line in (
            "apt-get install qemu-user gcc-aarch64-linux-gnu openssh-server adb",
            "apt-get install qemu-user gcc-aarch64-linux-gnu",
            "apt-get install openssh-client gcc-aarch64-linux-gnu",
            "apt-get install qemu-user gcc gcc-aarch64-linux-gnu llvm-19",
            "apt-get install llvm-19",
            "apt-get install adb gcc-aarch64-linux-gnu",
            "sudo apt-get install gcc-aarch64-linux-gnu",
        )
    },
}
SLOW = ("edgekit train ", "edgekit export runs/", "edgekit compress ", "edgekit export small ")
"""Beginnings of lines that are run as printed, and take too long for every commit."""

ENDS_WITH = {
    "edgekit export mobilenet_v2 --weights my.pth --prune 0.3 --calibration photos/ --target tflite-int8": 1,
}
"""Exit codes of lines of which the document says that they fail; all others are 0."""
