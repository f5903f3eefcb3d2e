"""The pytest plugin as a user's suite sees it: small suites of their own, run by pytest in a process of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgekit
from edgekit.devices.toolchain import COMPILER

pytest_plugins = ["pytester"]

NEEDED = ("qemu-aarch64", COMPILER, "cc")
ABSENT = [tool for tool in NEEDED if shutil.which(tool) is None]
emulated = pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed")


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("build")
    run = edgekit.export("mobilenet_v3_small", target="tflite-int8", input_size="32", samples=16, out=out)
    return run.bundles["tflite-int8"]


@pytest.fixture
def suite(pytester, bundle_folder):
    """A function: the lines of one test, and pytest's options -> pytest's result."""

    def run(body, *options):
        pytester.makepyfile(
            f"""
            from pathlib import Path
            from edgekit.testing import assert_instructions, assert_latency, assert_parity

            BUNDLE = Path({str(bundle_folder)!r})

            def test_it(edgekit_device, tmp_path_factory):
                {body}
            """
        )
        return pytester.runpytest_subprocess("-rs", "-p", "no:cacheprovider", *options)

    return run


def test_the_options_are_in_pytests_help(pytester):
    pytester.runpytest_subprocess("--help").stdout.fnmatch_lines(["*--edgekit-device=D*", "*--edgekit-baseline=F*"])


def test_three_lines_make_a_test_on_the_device(pytester):
    pytester.makepyfile(
        """
        from edgekit.testing import assert_parity

        def test_on_device(exported, edgekit_device):
            bundle = exported("mobilenet_v1", target="tflite-fp32", weights="random", input_size="32", num_classes=4)
            assert assert_parity(bundle, edgekit_device).hop.passed
            again = exported("mobilenet_v1", target="tflite-fp32", weights="random", input_size="32", num_classes=4)
            assert again is bundle
        """
    )
    pytester.runpytest_subprocess("--edgekit-device", "local").assert_outcomes(passed=1)


def test_a_module_in_memory_is_exported_for_the_test(pytester):
    pytester.makepyfile(
        """
        import pytest
        from torch import nn
        from edgekit import EdgekitError
        from edgekit.testing import assert_parity

        def test_on_device(exported, edgekit_device):
            nets = [nn.Conv2d(3, 4, 3) for _ in range(2)]
            bundles = [exported(net, target="ort-fp32", input_size=8) for net in nets]
            assert exported(nets[0], target="ort-fp32", input_size=8) is bundles[0]
            assert bundles[0].manifest["weights"] != bundles[1].manifest["weights"]
            assert all(assert_parity(bundle, edgekit_device).hop.passed for bundle in bundles)

        def test_a_refused_target_is_an_error(exported):
            with pytest.raises(EdgekitError, match="EK402"):
                exported(nn.Conv2d(3, 4, 3), target="tflite-int8", input_size=8)
        """
    )
    pytester.runpytest_subprocess("--edgekit-device", "local").assert_outcomes(passed=2)


def test_parity_holds_on_this_host(suite):
    suite("assert_parity(BUNDLE, edgekit_device)", "--edgekit-device", "local").assert_outcomes(passed=1)


def test_outputs_that_differ_fail_with_the_gate(suite):
    body = """
                import dataclasses
                import edgekit.verify.device as parity
                subject = parity.bundle_subject
                def wrong(bundle):
                    right = subject(bundle)
                    [tensor] = right.tensors
                    outputs = {tensor.name: right.outputs[tensor.name] + tensor.scale}
                    return dataclasses.replace(right, outputs=outputs)
                parity.bundle_subject = wrong
                assert_parity(BUNDLE, edgekit_device)
    """
    result = suite(body.strip(), "--edgekit-device", "local")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Failed: tflite-int8 on local differs from this host: bit-exact: * values differ*"])


def test_a_latency_far_above_a_limit_fails_and_far_below_passes(suite):
    result = suite("assert_latency(BUNDLE, edgekit_device, p50_ms=1e-6)", "--edgekit-device", "local")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the median is at least * ms, 1e-06 ms allowed*"])
    suite("assert_latency(BUNDLE, edgekit_device, p50_ms=1e6)", "--edgekit-device", "local").assert_outcomes(passed=1)


def test_without_anything_to_compare_with_nothing_passes(suite):
    result = suite("assert_latency(BUNDLE, edgekit_device)", "--edgekit-device", "local")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*nothing to compare with: give p50_ms or --edgekit-baseline*"])


def test_instructions_need_an_emulated_device(suite):
    result = suite("assert_instructions(BUNDLE, edgekit_device, at_most=1)", "--edgekit-device", "local")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*local is not emulated*"])


@emulated
def test_a_latency_needs_a_real_device(suite):
    result = suite("assert_latency(BUNDLE, edgekit_device, p50_ms=1)")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*emulated:cortex-a76 is emulated and has no latency*"])


@emulated
def test_instructions_are_compared_with_a_history(suite, tmp_path):
    history = tmp_path / "history.jsonl"
    option = f"--edgekit-history={history}"
    suite("assert_instructions(BUNDLE, edgekit_device, at_most=10**9)", option).assert_outcomes(passed=1)
    suite("assert_instructions(BUNDLE, edgekit_device)", f"--edgekit-baseline={history}").assert_outcomes(passed=1)

    document = json.loads(history.read_text())
    document["summary"]["instructions"] = round(document["summary"]["instructions"] / 1.01)
    faster = tmp_path / "faster.jsonl"
    faster.write_text(json.dumps(document) + "\n")
    result = suite("assert_instructions(BUNDLE, edgekit_device)", f"--edgekit-baseline={faster}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*slower: +1.00?% 0.2% allowed*"])

    document["model"] = "another"
    faster.write_text(json.dumps(document) + "\n")
    suite("assert_instructions(BUNDLE, edgekit_device)", f"--edgekit-baseline={faster}").assert_outcomes(skipped=1)


def test_a_named_device_that_is_not_there_is_an_error(suite):
    result = suite("pass", "--edgekit-device", "ssh://nobody@127.0.0.1:1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*EK601*"])


def test_the_usual_device_where_it_cannot_be_had_skips_with_the_reason(suite, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    result = suite("pass")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*EK609 qemu-aarch64 is not installed*"])


def test_the_plugin_loads_nothing_heavy():
    heavy = ("torch", "onnxruntime", "onnx", "numpy", "ai_edge_litert", "edgekit.devices", "edgekit.bench.measure")
    code = f"import sys, edgekit.testing.plugin; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_baseline_that_is_not_there_is_a_wrong_option_and_no_traceback(suite):
    result = suite("pass", "--edgekit-device", "local", "--edgekit-baseline", "none.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: no results in none.jsonl: write them first, with --edgekit-history none.jsonl*"]
    )
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
