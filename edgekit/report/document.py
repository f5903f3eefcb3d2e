"""What `edgekit export --json` prints."""

from dataclasses import asdict
from typing import Any

from edgekit.artifact import Artifact
from edgekit.errors import error_document
from edgekit.report.manifest import delegation_document, parity_document
from edgekit.report.quantization import receipt_document
from edgekit.run import Result, Run


def run_document(run: Run) -> dict[str, Any]:
    """A run as one JSON-ready dict: a record per target, and what each stage cost."""
    receipts = [integers.receipt for integers in run.integers.values() if integers.receipt is not None]
    return {
        "model": run.source.name,
        "input_shape": list(run.source.input_shape),
        "weights": run.source.weights,
        "notes": list(run.source.notes),
        "preprocess_assumed": run.source.assumption or None,
        "outputs": [asdict(output) for output in run.source.outputs],
        "warnings": list(run.images.warnings),
        "receipts": [receipt_document(receipt) for receipt in receipts],
        "targets": [result_document(result) for result in run.results],
        "stages": [asdict(cost) for cost in run.costs],
    }


def result_document(result: Result) -> dict[str, Any]:
    """What one target came to; of one that was refused there is the error alone."""
    folder = str(result.folder) if result.folder is not None else None
    return {
        "target": result.target.name,
        "bundle": folder if result.passed else None,
        "failed": None if result.passed else folder,
        "error": error_document(result.refused) if result.refused is not None else None,
        **(artifact_document(result.artifact) if result.artifact is not None else {}),
    }


def artifact_document(artifact: Artifact) -> dict[str, Any]:
    """A file with its proof."""
    return {
        "size_bytes": len(artifact.emitted.data),
        "beside": {file: len(data) for file, data in artifact.emitted.beside.items()},
        "inputs": [asdict(tensor) for tensor in artifact.contract.inputs],
        "outputs": [asdict(tensor) for tensor in artifact.contract.outputs],
        "operators": artifact.emitted.operators,
        "delegation": delegation_document(artifact.delegation),
        "parity": parity_document(artifact.parity),
    }
