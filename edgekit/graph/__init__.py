"""The graph as onnx_ir holds it: how it is opened, stored beside its file, and run."""
