"""What a device's state says about the times that it will give; texts as the devices print them."""

from dataclasses import replace

import pytest
from documents import PI

from edgekit.bench.preflight import busy_cores, examine

QUIET = "== stat\ncpu  100 0 100 1000 0 0 0 0 0 0\ncpu  101 0 101 1398 0 0 0 0 0 0\n"
BUSY = "== stat\ncpu  100 0 100 1000 0 0 0 0 0 0\ncpu  250 0 120 1230 0 0 0 0 0 0\n"
PHONE_BATTERY = (
    "== battery\nCurrent Battery Service state:\n  AC powered: false\n  USB powered: {usb}\n  level: {level}\n"
)


def said(text, info=PI):
    return {finding.what: finding for finding in examine(text, info)}


@pytest.mark.parametrize(
    ("governors", "ok"),
    [(("performance",), True), (("schedutil",), False), (("performance", "powersave"), False), ((), True)],
)
def test_a_governor_that_changes_frequencies_is_told(governors, ok):
    assert said("", replace(PI, governors=governors))["governor"].ok is ok


def test_background_load_is_measured_over_a_second():
    assert busy_cores(QUIET) == pytest.approx(0.02)
    assert said(QUIET)["background load"].ok
    assert busy_cores(BUSY) == pytest.approx(1.7)
    assert not said(BUSY)["background load"].ok


def test_a_device_without_a_free_core_is_not_believed():
    assert not said(BUSY)["background load"].doubt  # 1.7 of 4 cores
    crowded = examine(BUSY, PI, threads=2)
    assert [f.doubt for f in crowded if f.doubt] == ["1.7 of 4 cores were busy before"]
    assert said(BUSY, replace(PI, cores=2))["background load"].doubt
    assert not said(QUIET, replace(PI, cores=1))["background load"].doubt


def test_where_the_kernel_hides_its_ticks_the_load_average_serves():
    assert said("== stat\n== loadavg\n3.90 2.95 1.68 4/900 1234\n")["background load"].said == "3.90 cores busy"
    assert "background load" not in said("== stat\n== loadavg\n")


def test_an_empty_battery_slows_a_phone_down():
    low = said(PHONE_BATTERY.format(usb="true", level=15))["battery"]
    assert (low.said, low.ok) == ("15 %, plugged in", False)
    assert said(PHONE_BATTERY.format(usb="false", level=80))["battery"].said == "80 %, not plugged in"
    assert said("== supply\nDischarging 64\n")["battery"].said == "64 %, not plugged in"
    assert "battery" not in said("== supply\n== battery\n")


def test_throttling_is_told_in_the_systems_own_words():
    assert said("== thermalservice\nIsStatusOverride: false\nThermal Status: 0\n")["thermal status"].ok
    assert said("== thermalservice\nThermal Status: 2\n")["thermal status"].said == "throttling: moderate"
    assert said("== thermalservice\nThermal Status: 2\n")["thermal status"].doubt
    assert not said("== thermalservice\nThermal Status: 1\n")["thermal status"].doubt
    assert said("== thermalservice\nThermal Status: 9\n")["thermal status"].said == "throttling: 9"
    assert said("== throttled\nthrottled=0x50000\n")["throttling"].ok  # it was so once, and is not now
    assert said("== throttled\nthrottled=0x50005\n")["throttling"].doubt


def test_heat_is_told():
    assert said("", replace(PI, temperatures_c={"cpu": 48.0, "gpu": 82.0}))["temperature"].said == "gpu 82 °C"
    assert said("", replace(PI, temperatures_c={"cpu": 48.0}))["temperature"].ok


@pytest.mark.parametrize("text", ["", "garbage", "== stat\ncpu a b c d\n", "== battery\n  level: 99999\n", "== stat"])
def test_garbage_is_no_finding(text):
    assert all(finding.what in ("governor",) for finding in examine(text, PI))
