"""What machines say about themselves, as recorded, and what no machine should say."""

import pytest

from edgekit.devices.cores import CORES, cpuinfo, write_tree
from edgekit.devices.device import Address
from edgekit.devices.probe import read_probe

ADDRESS = Address("pi", "ssh://pi", "ssh", "pi")

RASPBERRY_PI = f"""== machine
aarch64
== kernel
Linux 6.6.31+rpt-rpi-v8
== cpuinfo
{cpuinfo(CORES["cortex-a72"])}Model\t\t: Raspberry Pi 4 Model B Rev 1.4
== meminfo
MemTotal:        3884352 kB
MemFree:         2905412 kB
== model
Raspberry Pi 4 Model B Rev 1.4\0
== release
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
== governor
ondemand
ondemand
== thermal
cpu-thermal 51121
"""

PHONE = f"""== machine
aarch64
== kernel
Linux 5.10.107-android13
== cpuinfo
{cpuinfo(CORES["cortex-a53"])}{cpuinfo(CORES["cortex-a76"])}== meminfo
MemTotal:        7729152 kB
== model

Pixel 6
== release
ANDROID=14
== governor
schedutil
== thermal
BIG 42000
battery -1
skin 31500
broken 99999999
"""


def test_a_raspberry_pi():
    info = read_probe(RASPBERRY_PI, ADDRESS)
    assert info.cpu == "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)"
    assert (info.arch, info.cores, info.ram_bytes) == ("aarch64", 4, 3884352 * 1024)
    assert info.os == "Debian GNU/Linux 12 (bookworm), Linux 6.6.31+rpt-rpi-v8"
    assert (info.temperatures_c, info.governors) == ({"cpu-thermal": 51.121}, ("ondemand",))
    assert {info.dot_product, info.fp16, info.i8mm} == {False}


def test_a_phone_has_the_features_that_all_its_cores_have():
    info = read_probe(PHONE, ADDRESS)
    assert info.cpu == "Cortex-A53 + Cortex-A76 (Pixel 6)"
    assert info.os == "Android 14, Linux 5.10.107-android13"
    assert info.features == ("asimd", "cpuid", "crc32", "evtstrm", "fp")
    assert info.temperatures_c == {"BIG": 42.0, "battery": -0.001, "skin": 31.5}


def test_a_core_with_the_dot_product():
    info = read_probe(f"== cpuinfo\n{cpuinfo(CORES['cortex-a76'])}", ADDRESS)
    assert info.dot_product
    assert info.fp16
    assert not info.i8mm


@pytest.mark.parametrize("text", ["", "== ", "== cpuinfo\n", "\0" * 99, "== meminfo\nMemTotal: " + "9" * 99 + " kB\n"])
def test_nonsense_is_no_information(text):
    info = read_probe(text, ADDRESS)
    assert (info.arch, info.cpu, info.cores, info.ram_bytes) == ("unknown", "unknown", 0, None)


def test_control_characters_do_not_reach_the_terminal():
    info = read_probe("== machine\n\x1b[31mred\n== model\n\x1b]0;title\x07\n", ADDRESS)
    assert "\x1b" not in info.arch + info.cpu


def test_this_host(local):
    info = local.info()
    assert info.cores >= 1
    assert info.ram_bytes
    assert "Linux" in info.os


def test_a_core_is_laid_over_the_hosts_files(tmp_path):
    write_tree(CORES["cortex-a76"], tmp_path)
    assert "0xd0b" in (tmp_path / "proc" / "cpuinfo").read_text()
    midr = tmp_path / "sys/devices/system/cpu/cpu3/regs/identification/midr_el1"
    assert midr.read_text() == "0x00000000414fd0b1\n"
