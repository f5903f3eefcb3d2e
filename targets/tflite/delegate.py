"""How XNNPACK cuts a file: partitions, and the nodes it refused, measured in the runtime itself."""

from edgekit.target import Delegation, Emitted, EmittedNode, Undelegated
from edgekit.targets.tflite.run import load_interpreter
from edgekit.targets.tflite.session import inside

NO_WORK = {"RESHAPE", "QUANTIZE", "DEQUANTIZE"}
_FIX = {
    "HARD_SWISH": "let edgekit quantize the float model: it writes HardSwish as ADD + MUL",
    "TRANSPOSE": "keep the channel axis where convolutions want it",
    "GATHER": "use slices, or permute the neighbouring weights",
    "PADV2": "pad with zeros",
}


def delegation(emitted: Emitted) -> Delegation:
    """Partitions and undelegated nodes of a file under XNNPACK."""
    details = load_interpreter(emitted.data)._get_ops_details()
    delegates = [op for op in details if op["op_name"] == "DELEGATE"]
    own = details[: len(emitted.nodes)]
    if not delegates:
        return Delegation("none", 0, (_nothing_taken(emitted),))
    taken = inside(own, delegates)
    refused = tuple(_undelegated(emitted.nodes[op["index"]]) for op in own if op["index"] not in taken)
    return Delegation("XNNPACK", len(delegates), refused)


def _nothing_taken(emitted: Emitted) -> Undelegated:
    """One row for a file that XNNPACK leaves alone altogether."""
    int16 = any(info.dtype == "int16" for info in emitted.inputs + emitted.outputs)
    reason = "XNNPACK has no int16 kernels" if int16 else "XNNPACK is not part of this runtime"
    fix = "use tflite-int8 where speed counts" if int16 else "install ai-edge-litert"
    return Undelegated(f"all {len(emitted.nodes)} operators", "the whole graph", reason, fix)


def _undelegated(node: EmittedNode) -> Undelegated:
    reason = node.refusal or "XNNPACK has no kernel for these types and parameters"
    otherwise = "nothing to do: it moves few bytes" if node.operator in NO_WORK else "see docs/supported-ops.md"
    return Undelegated(node.operator, node.module, reason, _FIX.get(node.operator, otherwise))
