"""Every lowering rule against ONNX Runtime: each case, in each dtype that its rule claims, with and without XNNPACK."""

from functools import cache

import onnx
import pytest
from tflite_conformance.case import Case
from tflite_conformance.catalogue import all_cases
from tflite_conformance.execute import TARGETS, distances, emit_proto, graph_of, run_emitted, stored_inputs, written_by
from tflite_conformance.net import Feeds

from edgekit.errors import EdgekitError
from edgekit.target import Emitted
from edgekit.targets.tflite.builtins import BUILTINS
from edgekit.targets.tflite.fuse import CLAMPABLE
from edgekit.targets.tflite.rules import lowerings

CASES = all_cases()
PROVED = [(case, dtype) for case in CASES if not case.rejected for dtype in case.proved]
REFUSED = [(case, dtype) for case in CASES if case.rejected for dtype in case.proved]
# Any rule may bring an operand into the layout, shape or scale that it needs.
MOVES = {"TRANSPOSE", "RESHAPE", "QUANTIZE"}
CLAMPS = {"RELU", "RELU6", "RELU_N1_TO_1", "MAXIMUM", "MINIMUM"}

# CONV_2D for a Gemm or MatMul is its dynamic-range form: test_schemes.py proves that.
DYNAMIC = {"CONV_2D"}


def named(pairs: list[tuple[Case, str]]) -> list[str]:
    return [f"{case.identifier} {dtype}".replace(" ", "-") for case, dtype in pairs]


@cache
def emitted_case(case: Case, dtype: str) -> tuple[onnx.ModelProto, Feeds, Emitted]:
    model, feeds = graph_of(case, dtype)
    return model, feeds, emit_proto(model, TARGETS[dtype])


@pytest.mark.parametrize(("case", "dtype"), PROVED, ids=named(PROVED))
def test_the_file_computes_what_onnx_runtime_computes(case: Case, dtype: str) -> None:
    model, feeds, emitted = emitted_case(case, dtype)
    inputs, limit = stored_inputs(emitted, feeds), case.limit(dtype)
    for kernels, delegate in (("XNNPACK", True), ("builtin kernels", False)):
        for name, distance in distances(emitted, run_emitted(emitted, inputs, delegate), model, feeds):
            assert distance <= limit, f"{name} is {distance:.3g} off with {kernels}: {emitted.operators}"


@pytest.mark.parametrize(("case", "dtype"), PROVED, ids=named(PROVED))
def test_a_rule_writes_only_the_operators_it_claims(case: Case, dtype: str) -> None:
    model, _, emitted = emitted_case(case, dtype)
    assert not set(case.absent) & set(emitted.operators), emitted.operators
    in_float = dtype == "float32" or case.in_float
    assert in_float or "DEQUANTIZE" not in emitted.operators, f"it computes in float: {emitted.operators}"
    for op, builtins in written_by(model, emitted).items():
        claimed = set(lowerings.get(op).builtins) if op in lowerings else set()
        assert builtins <= claimed | MOVES | (CLAMPS if op in CLAMPABLE else set()), op


@pytest.mark.parametrize(("case", "dtype"), REFUSED, ids=named(REFUSED))
def test_what_has_no_kernel_is_refused_with_its_reason(case: Case, dtype: str) -> None:
    model, _ = graph_of(case, dtype)
    with pytest.raises(EdgekitError, match="EK301") as refusal:
        emit_proto(model, TARGETS[dtype])
    assert refusal.value.table is not None
    reasons = {row[1]: row[3] for row in refusal.value.table.rows}
    assert case.rejected in reasons[case.op]


def test_every_rule_has_a_case_in_every_dtype_it_claims() -> None:
    proved = {(case.op, dtype) for case, dtype in PROVED if not (case.in_float and dtype != "float32")}
    proved |= {(case.op, "float32") for case, _ in PROVED if case.op in ("QuantizeLinear", "DequantizeLinear")}
    claimed = {(rule.op, dtype) for rule in lowerings for dtype in ("float32", *rule.integer)}
    assert claimed <= proved, sorted(claimed - proved)


def test_every_claimed_builtin_is_written_by_some_case() -> None:
    written: dict[str, set[str]] = {}
    for case, dtype in PROVED:
        model, _, emitted = emitted_case(case, dtype)
        for op, builtins in written_by(model, emitted).items():
            written.setdefault(op, set()).update(builtins)
    unwritten = {rule.op: set(rule.builtins) - written.get(rule.op, set()) - DYNAMIC for rule in lowerings}
    assert not {op: names for op, names in unwritten.items() if names}


def test_the_table_of_builtins_and_the_rules_name_the_same_operators() -> None:
    used = {builtin for rule in lowerings for builtin in rule.builtins} | MOVES
    assert used == set(BUILTINS)


def test_no_two_cases_share_a_name_and_every_wider_tolerance_says_why() -> None:
    names = [case.identifier for case in CASES]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    assert [case.identifier for case in CASES if max(case.steps, case.steps16) > 1 and not case.why] == []
