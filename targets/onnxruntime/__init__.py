"""ONNX Runtime on CPU: the quantized graph as it is, in the form that its kernels run fastest."""

from pathlib import Path

from edgekit.target import AndroidLibrary, Library, Package, QuantScheme, Runtime, Target, Tolerance, targets
from edgekit.targets.onnxruntime.emit import MIN_RUNTIME, emit
from edgekit.targets.onnxruntime.layers import layers
from edgekit.targets.onnxruntime.mobile import add_mobile_files
from edgekit.targets.onnxruntime.plain import plain_input
from edgekit.targets.onnxruntime.run import run

RUNTIME = Runtime(
    name="onnxruntime",
    title="ONNX Runtime",
    suffix="onnx",
    packages=(Package("onnxruntime", "onnxruntime"),),
    session=Path(__file__).with_name("session.py"),
    control="ort-fp32",
    exact="CPUExecutionProvider",
    library=Library("onnxruntime", "onnxruntime/capi/libonnxruntime.so.*", "libonnxruntime.so"),
    android=(
        AndroidLibrary(
            "onnxruntime", "onnxruntime", "com.microsoft.onnxruntime:onnxruntime-android:1.29.0", "1.29.0", 24
        ),
    ),
    plain_input=plain_input,
)
_TARGETS = (
    (
        "ort-fp32",
        "float32; the reference on a Raspberry Pi",
        QuantScheme("float32", "float32"),
        Tolerance(max_abs=1e-4),
    ),
    (
        "ort-dynamic",
        "int8 matrix products quantized on the fly, float32 convolutions; no calibration",
        QuantScheme("int8", "float32"),
        Tolerance(min_sqnr_db=15.0, min_agreement=0.90),
    ),
    (
        "ort-int8",
        "int8 weights, uint8 activations as QDQ; float in and out",
        QuantScheme("int8", "int8"),
        Tolerance(min_sqnr_db=10.0, min_agreement=0.85),
    ),
)

for _name, _summary, _scheme, _tolerance in _TARGETS:
    _target = Target(
        _name, RUNTIME, _summary, _scheme, _tolerance, emit, run, None, layers, add_mobile_files, MIN_RUNTIME
    )
    targets.add(_name, _target, __name__)
