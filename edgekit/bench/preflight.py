"""Before a bench: whether the device is in a state in which times mean something. Findings are told, none stops it."""

import re
from dataclasses import dataclass

from edgekit.devices.device import DeviceInfo

STEADY_GOVERNORS = {"performance", "userspace"}
MAX_BUSY_CORES = 0.25
MIN_BATTERY_PERCENT = 20
MAX_TEMPERATURE_C = 70.0

# Fixed text: no name that a user chose is in it. Every part may be missing on a device.
SCRIPT = r"""
section() { echo "== $1"; }
section stat; head -n 1 /proc/stat; sleep 1; head -n 1 /proc/stat
section loadavg; cat /proc/loadavg
section supply
for supply in /sys/class/power_supply/*; do
  [ -r "$supply/capacity" ] && echo "$(cat "$supply/status") $(cat "$supply/capacity")"
done
section battery; dumpsys battery 2>/dev/null
section thermalservice; dumpsys thermalservice 2>/dev/null | head -n 5
section throttled; vcgencmd get_throttled 2>/dev/null
true
"""
TICKS_PER_SECOND = 100
THROTTLING_STATUS = 2
"""Android's "moderate": from there on it lowers frequencies where the user notices."""

ANDROID_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: "governor", "background load", "battery", "thermal".
        said: what the device said, in words.
        fix: what would make times steadier; empty where all is well.
        doubt: why times measured now are not to be believed at all; empty where they may be.
    """

    what: str
    said: str
    fix: str = ""
    doubt: str = ""

    @property
    def ok(self) -> bool:
        return not self.fix


def examine(text: str, info: DeviceInfo, threads: int = 1) -> tuple[Finding, ...]:
    """Findings from what SCRIPT printed and from what the device says about itself.

    Args:
        threads: how many cores the bench itself needs.
    """
    parts = re.split(r"^== (\w+)$", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=False))
    found = (
        _governor(info),
        _load(sections, info.cores, threads),
        _battery(sections),
        _thermal_status(sections),
        _throttled(sections),
        _temperature(info),
    )
    return tuple(finding for finding in found if finding is not None)


def _governor(info: DeviceInfo) -> Finding:
    if not info.governors:
        return Finding("governor", "not known")
    names = ", ".join(info.governors)
    if set(info.governors) <= STEADY_GOVERNORS:
        return Finding("governor", names)
    fix = "sudo cpupower frequency-set -g performance; Android 11 and newer: "
    return Finding("governor", names, f"{fix}adb shell cmd power set-fixed-performance-mode-enabled true")


def _load(sections: dict[str, str], cores: int, threads: int) -> Finding | None:
    busy = busy_cores(sections.get("stat", ""))
    if busy is None:
        match = re.match(r"\s*(\d{1,6}\.\d+)", sections.get("loadavg", ""))
        busy = float(match[1]) if match else None
    if busy is None:
        return None
    said, fix = f"{busy:.2f} cores busy", "stop what else runs there" if busy > MAX_BUSY_CORES else ""
    # Half a core more than the bench needs must be free; a single core cannot have that.
    crowded = busy > max(MAX_BUSY_CORES, cores - threads - 0.5)
    return Finding("background load", said, fix, f"{busy:.1f} of {cores} cores were busy before" if crowded else "")


def busy_cores(stat: str) -> float | None:
    """Cores busy between two "cpu" lines of /proc/stat a second apart; None when they are not there."""
    lines = re.findall(r"^cpu((?: +\d{1,18}){4,})", stat, flags=re.MULTILINE)
    if len(lines) != 2:
        return None
    before, after = ([int(word) for word in line.split()] for line in lines)
    idle = [ticks[3] + (ticks[4] if len(ticks) > 4 else 0) for ticks in (before, after)]
    # Of the first eight: guest time, which may follow, is part of user time already.
    busy = (sum(after[:8]) - idle[1]) - (sum(before[:8]) - idle[0])
    return max(0.0, busy / TICKS_PER_SECOND)


def _battery(sections: dict[str, str]) -> Finding | None:
    android = re.search(r"^\s*level: (\d{1,3})$", sections.get("battery", ""), flags=re.MULTILINE)
    linux = re.search(r"^([A-Za-z ]+) (\d{1,3})$", sections.get("supply", ""), flags=re.MULTILINE)
    if android:
        percent = int(android[1])
        plugged = bool(re.search(r"(AC|USB|Wireless) powered: true", sections["battery"]))
    elif linux:
        percent, plugged = int(linux[2]), linux[1] != "Discharging"
    else:
        return None
    low = percent < MIN_BATTERY_PERCENT
    return Finding(
        "battery",
        f"{percent} %, {'plugged in' if plugged else 'not plugged in'}",
        "charge it: below 20 % phones slow down" if low else "",
    )


def _thermal_status(sections: dict[str, str]) -> Finding | None:
    match = re.search(r"Thermal Status: (\d)", sections.get("thermalservice", ""))
    if not match:
        return None
    level = int(match[1])
    said = ANDROID_STATUS[level] if level < len(ANDROID_STATUS) else str(level)
    doubt = f"the device throttles: {said}" if level >= THROTTLING_STATUS else ""
    return Finding("thermal status", f"throttling: {said}", "let it cool down" if level else "", doubt)


def _throttled(sections: dict[str, str]) -> Finding | None:
    """Raspberry Pi's own flags; the low half says what is so now, the high half what was so since it started."""
    match = re.search(r"throttled=0x([0-9a-fA-F]{1,8})", sections.get("throttled", ""))
    if not match:
        return None
    now = int(match[1], 16) & 0xFFFF
    fix = "use the official power supply, cool it" if now else ""
    return Finding("throttling", f"0x{match[1]}", fix, "the board throttles or has too little power" if now else "")


def _temperature(info: DeviceInfo) -> Finding | None:
    if not info.temperatures_c:
        return None
    sensor, hottest = max(info.temperatures_c.items(), key=lambda pair: pair[1])
    return Finding(
        "temperature", f"{sensor} {hottest:.0f} °C", "let it cool down" if hottest > MAX_TEMPERATURE_C else ""
    )
