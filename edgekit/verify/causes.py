"""What a failed hop most likely comes from, and what helps there: each step has causes of its own."""

from edgekit.artifact import Hop
from edgekit.target import Target

GRAPHS = ("onnx", "simplified")


def what_helps(hop: Hop, target: Target, repeats: bool = True) -> str:
    """The fix for the first hop that failed, one sentence.

    Args:
        repeats: whether the module gives the same when it is run twice.
    """
    if hop.worst.gate.startswith("NaN"):
        return "a value is NaN or infinite: look at the inputs and at layers that divide or take a logarithm"
    if not repeats:
        return (
            "the module gives something else for the same image when it is run again: it draws random numbers, or "
            "keeps what it computed in forward; make it a function of the image"
        )
    if hop.name in GRAPHS:
        return (
            "no number may change here, and no image helps: report it with the model and the output of: edgekit doctor"
        )
    if hop.name == "prepared":
        return (
            "change the model less, give the preparation a gate that allows what it costs, or train further what is "
            "left of it: edgekit compress MODEL --ratio 0.3 --finetune DIR --out OUT"
        )
    if not target.scheme.needs_calibration:
        return f"the file's own precision costs it: {precision(target)}"
    if hop.name not in ("quantized", "end to end"):
        return "the runtime's kernels round otherwise than the graph says: report it with the model and: edgekit doctor"
    if hop.worst.lost:
        return "some values are too small for the scale they share: --keep-float MODULE, or int16 activations"
    return "try other or more images (--calibration DIR --samples 200), --quality best, or --min-sqnr DB"


def precision(target: Target) -> str:
    """What a float target gives up."""
    kinds = {"float16": "weights of 11 bits", "int8": "weights of 8 bits", "float32": "another order of additions"}
    return f"{kinds[target.scheme.weight]}; take a float32 target, or leave layers out of it"
