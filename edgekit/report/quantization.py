"""What the manifest and `--json` say about a quantization: receipt, images, warnings, layers."""

from dataclasses import asdict
from typing import Any

from edgekit.ladder.climb import Receipt
from edgekit.ladder.data_free import DataFree
from edgekit.ladder.named import named_rung, rung_of_quality
from edgekit.quant.diagnosis import Diagnosis, LayerError
from edgekit.quant.method import KNOBS, keeping, last_rung
from edgekit.quant.parameters import ActivationType
from edgekit.quant.quantizer import Quantized
from edgekit.recipe import Recipe
from edgekit.run import Integers, Run
from edgekit.target import names_with, targets


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """A receipt as JSON."""
    return asdict(receipt)


def steady(receipt: Receipt) -> dict[str, Any]:
    """A receipt for the manifest: without what differs from run to run."""
    document = asdict(receipt)
    for line in document["tried"]:
        del line["p50_ms"], line["cpu_s"]
    return document


def data_free_document(compared: DataFree) -> dict[str, Any]:
    """Distilled against real images, for the manifest."""
    return {**steady(compared.receipt), "widths": [round(width, 4) for width in compared.widths]}


def after_best(dtype: ActivationType) -> str:
    """What helps where the best rung was taken already."""
    wider = f" or int16 activations ({names_with('int16')})" if dtype == "int8" else ""
    return f"operators in float32 (--keep-float, --min-sqnr){wider}"


def method_document(integers: Integers, recipe: Recipe) -> dict[str, Any]:
    """What was really done: the rung's name, the knobs that change something, and the nodes in float32."""
    decided, receipt = integers.decided, integers.receipt
    assert decided is not None
    rung = named_rung(recipe, decided.dtype) or rung_of_quality(recipe, decided.dtype)
    return {
        "name": receipt.tried[-1].rung if receipt else rung.name,
        **{knob: getattr(decided.method, knob) for knob in KNOBS[decided.dtype]},
        "keep_float": list(decided.method.keep_float),
        "forms": {
            "tune": recipe.tune,
            "hard_swish": dict(decided.choice.forms),
            "dearer_percent": round(decided.choice.dearer, 2),
        },
    }


def diagnosis_document(diagnosis: Diagnosis, decided: Quantized) -> dict[str, Any]:
    """A diagnosis of what was decided as JSON; figures are rounded to what they are worth."""

    def row(layer: LayerError) -> dict[str, Any]:
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(layer).items()}

    culprit = diagnosis.culprit
    best = keeping(decided.method, ()) == last_rung(decided.dtype)
    return {
        "images": diagnosis.images,
        "culprit": row(culprit) if culprit else None,
        "advice": after_best(decided.dtype) if best else diagnosis.advice,
        "layers": [row(layer) for layer in diagnosis.layers],
    }


def quantization_document(run: Run, target: str) -> dict[str, Any] | None:
    """What the manifest says about a target's quantization; None where nothing was quantized here."""
    integers = integers_of(run, target)
    if integers is None or integers.decided is None:
        return None
    judged = integers.judged
    return {
        "quality": run.recipe.quality,
        "method": method_document(integers, run.recipe),
        "receipt": steady(integers.receipt) if integers.receipt else None,
        "data_free": data_free_document(integers.data_free) if integers.data_free else None,
        "evaluation": {"sha256": judged.sha256(), "names": list(judged.names)} if judged else None,
        "warnings": list(run.images.warnings),
        "diagnosis": diagnosis_document(integers.diagnosis, integers.decided) if integers.diagnosis else None,
    }


def integers_of(run: Run, target: str) -> Integers | None:
    """The integer graph that a target was written from."""
    return run.integers.get(targets.get(target).scheme)
