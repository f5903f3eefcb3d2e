"""TFLite: eight-bit and float files for ARM phones, written without TensorFlow."""

from pathlib import Path

from edgekit.target import AndroidLibrary, Library, Package, QuantScheme, Runtime, Target, Tolerance, targets
from edgekit.targets.tflite.delegate import delegation
from edgekit.targets.tflite.emit import emit
from edgekit.targets.tflite.kernels import place_kernels
from edgekit.targets.tflite.layers import layers
from edgekit.targets.tflite.metadata import add_metadata
from edgekit.targets.tflite.plain import plain_input
from edgekit.targets.tflite.run import run

# Integer gates are floors below which a file is broken, not targets of quality: the report shows the figures.
INTEGER_GATE = Tolerance(min_sqnr_db=10.0, min_agreement=0.85)

RUNTIME = Runtime(
    name="tflite",
    title="TensorFlow Lite",
    suffix="tflite",
    packages=(Package("litert", "ai-edge-litert"), Package("tflite-runtime", "tflite-runtime")),
    session=Path(__file__).with_name("session.py"),
    control="tflite-fp32",
    exact="XNNPACK",
    library=Library("ai-edge-litert", "ai_edge_litert/libLiteRt.so", "libLiteRt.so"),
    program="benchmark_model",
    android=(
        # The last line with the interpreter and its delegates; 2.x has it for the CPU alone.
        AndroidLibrary("litert", "litert", "com.google.ai.edge.litert:litert:1.4.2", "2.17.0", 21),
        # Its x86-64 library is aligned to 4 KB: no emulator with larger pages runs it.
        AndroidLibrary(
            "tensorflow-lite",
            "litert",
            "org.tensorflow:tensorflow-lite:2.17.0",
            "2.17.0",
            21,
            ("arm64-v8a", "armeabi-v7a"),
        ),
    ),
    plain_input=plain_input,
    place_kernels=place_kernels,
)
_TARGETS = (
    ("tflite-fp32", "float32; the reference on a phone", QuantScheme("float32", "float32"), Tolerance(max_abs=1e-4)),
    (
        "tflite-fp16",
        "float16 weights, float32 arithmetic; half the size",
        QuantScheme("float16", "float32"),
        Tolerance(min_sqnr_db=40.0, min_agreement=0.98),
    ),
    (
        "tflite-dynamic",
        "int8 weights, float32 activations quantized on the fly; no calibration",
        QuantScheme("int8", "float32"),
        Tolerance(min_sqnr_db=15.0, min_agreement=0.90),
    ),
    ("tflite-int8", "full integer, int8 in and out; the fastest on a phone", QuantScheme("int8", "int8"), INTEGER_GATE),
    (
        "tflite-int16x8",
        "int16 activations, weights in two int8 parts; accuracy before speed",
        QuantScheme("int8", "int16"),
        Tolerance(min_sqnr_db=30.0, min_agreement=0.95),
    ),
)

for _name, _summary, _scheme, _tolerance in _TARGETS:
    _target = Target(
        _name, RUNTIME, _summary, _scheme, _tolerance, emit, run, delegation, layers, add_metadata, "1.14.0"
    )
    targets.add(_name, _target, __name__)
