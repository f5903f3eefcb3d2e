"""One record per ONNX operator, found by walking this package."""

ABOUT = """\
# Operators that the TFLite targets lower

Made from `targets/tflite/lowerings/` by `pytest tests/test_completeness.py --update-golden`; do not edit.

One row per ONNX operator of the canonical graph (docs/architecture.md): what other operators a model has, the \
passes rewrite or fold first. `float` is the activations of `tflite-fp32`, `tflite-fp16` and \
`tflite-dynamic`, `int8` those of `tflite-int8`, `int16` those of `tflite-int16x8`. Without an integer kernel \
a node computes in float between `DequantizeLinear` and `QuantizeLinear`, the border. A form of a listed \
operator that TFLite does not have is EK301, which says why, for all nodes at once."""
"""What docs/supported-ops.md says in front of its table."""
