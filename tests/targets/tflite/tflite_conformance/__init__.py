"""The conformance harness of the TFLite lowering rules: graphs as data, and what compares them with ONNX Runtime."""
