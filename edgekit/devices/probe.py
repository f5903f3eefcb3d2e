"""What a Linux or Android machine says about itself: one fixed script, and a reader that believes little of it."""

import re
from collections.abc import Mapping

from edgekit.devices.device import Address, DeviceInfo, printable

# Sections, each behind a line of its own. It names no file that a user chose.
SCRIPT = r"""
section() { echo "== $1"; }
section machine; uname -m
section kernel; uname -sr
section cpuinfo; cat /proc/cpuinfo
section meminfo; head -n 3 /proc/meminfo
section model; cat /proc/device-tree/model 2>/dev/null; echo; getprop ro.product.model 2>/dev/null
section release; cat /etc/os-release 2>/dev/null; getprop ro.build.version.release 2>/dev/null | sed 's/^/ANDROID=/'
section governor; cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor 2>/dev/null
section thermal
for zone in /sys/class/thermal/thermal_zone*; do
  [ -r "$zone/temp" ] && echo "$(cat "$zone/type" 2>/dev/null) $(cat "$zone/temp" 2>/dev/null)"
done
true
"""
# MIDR part numbers of the cores that /proc/cpuinfo does not name: Linux on ARM gives numbers alone.
_PARTS = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
}
MAX_CORES, MAX_SENSORS = 4096, 64


def read_probe(text: str, address: Address, *, emulated: bool = False) -> DeviceInfo:
    """DeviceInfo from what SCRIPT printed; whatever is missing or no number is left out."""
    parts = _sections(text)
    cpu = parts.get("cpuinfo", "")
    names = sorted(set(_values(cpu, "model name")) or _arm_names(cpu))
    model = next((line for line in parts.get("model", "").replace("\0", "").splitlines() if line.strip()), "")
    return DeviceInfo(
        name=address.name,
        uri=address.uri,
        arch=printable(parts.get("machine", "").strip() or "unknown", 20),
        cpu=printable(" + ".join(names) + (f" ({model.strip()})" if model else "") or "unknown", 120),
        cores=min(len(_values(cpu, "processor")), MAX_CORES),
        features=_features(cpu),
        ram_bytes=_ram_bytes(parts.get("meminfo", "")),
        os=printable(_os(parts), 120),
        temperatures_c=_temperatures(parts.get("thermal", "")),
        governors=tuple(sorted({printable(word, 20) for word in parts.get("governor", "").split()}))[:MAX_SENSORS],
        emulated=emulated,
    )


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^== (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=False))


def _values(cpuinfo: str, key: str) -> list[str]:
    return [m.strip() for m in re.findall(rf"^{key}\s*:\s*(.+)$", cpuinfo, flags=re.MULTILINE)]


def _arm_names(cpuinfo: str) -> set[str]:
    """Names of the cores, several on a big.LITTLE phone."""
    pairs = zip(_values(cpuinfo, "CPU implementer"), _values(cpuinfo, "CPU part"), strict=False)
    return {_PARTS.get((_number(who), _number(part)), f"ARM {who}/{part}") for who, part in pairs}


def _number(text: str) -> int:
    return int(text, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text) else -1


def _features(cpuinfo: str) -> tuple[str, ...]:
    """Features that every core has: a program may be moved to any of them."""
    per_core = [set(line.split()) for line in _values(cpuinfo, "(?:Features|flags)")]
    common = set.intersection(*per_core) if per_core else set()
    return tuple(sorted(word for word in common if re.fullmatch(r"\w{1,32}", word)))


def _ram_bytes(meminfo: str) -> int | None:
    found = re.search(r"^MemTotal:\s*(\d{1,12}) kB", meminfo, flags=re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _os(parts: Mapping[str, str]) -> str:
    release = dict(line.split("=", 1) for line in parts.get("release", "").splitlines() if "=" in line)
    name = f"Android {release['ANDROID']}" if "ANDROID" in release else release.get("PRETTY_NAME", "").strip('"')
    return ", ".join(filter(None, (name, parts.get("kernel", "").strip())))


def _temperatures(thermal: str) -> dict[str, float]:
    """Sensors in degrees; the kernel gives thousandths. What no chip survives is no temperature."""
    found: dict[str, float] = {}
    for index, line in enumerate(thermal.splitlines()[:MAX_SENSORS]):
        if match := re.fullmatch(r"(\S{0,40}) (-?\d{1,7})", line):
            degrees = int(match[2]) / 1000
            if -50 < degrees < 200:
                found[printable(match[1] or f"zone{index}")] = degrees
    return found
