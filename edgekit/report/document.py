"""What `edgekit export --json` prints."""

from dataclasses import asdict
from typing import Any

from edgekit.report.manifest import delegation_document, parity_document
from edgekit.report.quantization import receipt_document
from edgekit.run import Run


def run_document(run: Run) -> dict[str, Any]:
    """A run as one JSON-ready dict: a record per target, and what each stage cost."""
    return {
        "model": run.source.name,
        "input_shape": list(run.source.input_shape),
        "weights": run.source.weights,
        "warnings": list(run.warnings),
        "receipts": [receipt_document(receipt) for receipt in run.receipts.values()],
        "targets": [target_document(run, name) for name in run.artifacts],
        "stages": [asdict(cost) for cost in run.costs],
    }


def target_document(run: Run, name: str) -> dict[str, Any]:
    artifact = run.artifacts[name]
    return {
        "target": name,
        "bundle": str(run.bundles[name]) if name in run.bundles else None,
        "failed": str(run.failures[name]) if name in run.failures else None,
        "size_bytes": len(artifact.emitted.data),
        "beside": {file: len(data) for file, data in artifact.emitted.beside.items()},
        "inputs": [asdict(tensor) for tensor in artifact.emitted.inputs],
        "outputs": [asdict(tensor) for tensor in artifact.emitted.outputs],
        "operators": artifact.emitted.operators,
        "delegation": delegation_document(artifact.delegation),
        "parity": parity_document(artifact.parity),
    }
