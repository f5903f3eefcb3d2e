"""The ARM cores that can be emulated, as Linux on them describes itself in /proc and /sys.

A guest of qemu-user reads the host's files, where LiteRT and ONNX Runtime find an x86 CPU and crash; these hide them.
"""

from dataclasses import dataclass
from pathlib import Path

CORES_PER_DEVICE = 4


@dataclass(frozen=True, slots=True)
class Core:
    """One kind of core.

    Args:
        part, variant, revision: of its MIDR register; the implementer is ARM, 0x41.
        max_khz: what /sys names as the highest frequency; nothing runs at it here.
        instead: what qemu emulates where it does not know the core: another with the same instructions.
    """

    name: str
    part: int
    variant: int
    revision: int
    max_khz: int
    features: str
    instead: str = ""

    @property
    def midr(self) -> int:
        """The main ID register: implementer, variant, architecture, part, revision."""
        return 0x41 << 24 | self.variant << 20 | 0xF << 16 | self.part << 4 | self.revision


_BASE = "fp asimd evtstrm crc32 cpuid"
_ARMV82 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"  # dot product
)
CORES = {
    core.name: core
    for core in (
        Core("cortex-a53", 0xD03, 0x0, 4, 1_200_000, _BASE),
        Core("cortex-a55", 0xD05, 0x1, 0, 1_785_000, _ARMV82, instead="cortex-a76"),
        Core("cortex-a72", 0xD08, 0x0, 3, 1_800_000, _BASE),
        Core("cortex-a76", 0xD0B, 0x4, 1, 2_400_000, _ARMV82),
    )
}
# `-cpu max` is no core: it has SME, with which LiteRT computes int8 wrongly.
PROFILES = {
    "pi3": "cortex-a53",
    "pi4": "cortex-a72",
    "pi5": "cortex-a76",
    "phone": "cortex-a76",
    "phone-little": "cortex-a55",
}


def cpuinfo(core: Core) -> str:
    """/proc/cpuinfo of four such cores."""
    one = (
        "processor\t: {index}\nBogoMIPS\t: 108.00\n"
        f"Features\t: {core.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: {core.variant:#x}\nCPU part\t: {core.part:#05x}\nCPU revision\t: {core.revision}\n\n"
    )
    return "".join(one.format(index=index) for index in range(CORES_PER_DEVICE))


def write_tree(core: Core, folder: Path) -> None:
    """The files that runtimes read, below `folder` as they stand below /."""
    cpu = folder / "sys" / "devices" / "system" / "cpu"
    last = CORES_PER_DEVICE - 1
    files = {
        folder / "proc" / "cpuinfo": cpuinfo(core),
        cpu / "kernel_max": f"{last}\n",
        **{cpu / name: f"0-{last}\n" for name in ("online", "possible", "present")},
    }
    for index in range(CORES_PER_DEVICE):
        one = cpu / f"cpu{index}"
        files |= {
            one / "cpufreq" / "cpuinfo_max_freq": f"{core.max_khz}\n",
            one / "cpufreq" / "cpuinfo_min_freq": "600000\n",
            one / "regs" / "identification" / "midr_el1": f"{core.midr:#018x}\n",
            one / "topology" / "core_id": f"{index}\n",
            one / "topology" / "physical_package_id": "0\n",
            one / "topology" / "cluster_cpus_list": f"0-{last}\n",
            one / "topology" / "core_siblings_list": f"0-{last}\n",
            one / "topology" / "package_cpus_list": f"0-{last}\n",
            one / "topology" / "thread_siblings_list": f"{index}\n",
        }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
