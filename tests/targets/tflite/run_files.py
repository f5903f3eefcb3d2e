"""Runs every .tflite file of a folder under tflite-runtime, one process for all; needs that package and numpy alone.

    python run_files.py FOLDER [builtin]

Beside name.tflite lies name.npz with its inputs in order; name.out.npz takes the outputs, name.error what went wrong.
Files that have one of the two are skipped, so that a caller can go on behind a file that killed the process.
`builtin`: without the XNNPACK delegate.
"""

import sys
from pathlib import Path

import numpy as np
from tflite_runtime.interpreter import Interpreter, OpResolverType

PLAIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def run(file: Path, resolver: OpResolverType) -> None:
    feeds = np.load(file.with_suffix(".npz"))
    interpreter = Interpreter(model_path=str(file), num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    for detail, name in zip(interpreter.get_input_details(), feeds.files, strict=True):
        interpreter.set_tensor(detail["index"], feeds[name])
    interpreter.invoke()
    details = interpreter.get_output_details()
    outputs = [interpreter.get_tensor(detail["index"]) for detail in details]
    check_signature(interpreter, feeds, {detail["name"]: found for detail, found in zip(details, outputs, strict=True)})
    np.savez(file.with_suffix(".out.npz"), *outputs)


def check_signature(interpreter: Interpreter, feeds: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
    """That the file's only signature takes and gives the same by name."""
    names = [detail["name"] for detail in interpreter.get_input_details()]
    found = interpreter.get_signature_runner()(**dict(zip(names, feeds.values(), strict=True)))
    if found.keys() != outputs.keys() or not all(np.array_equal(found[name], outputs[name]) for name in outputs):
        raise ValueError(f"the signature gives {sorted(found)}, the file {sorted(outputs)}")


def main(folder: Path, resolver: OpResolverType) -> None:
    for file in sorted(folder.glob("*.tflite")):
        if file.with_suffix(".out.npz").exists() or file.with_suffix(".error").exists():
            continue
        try:
            run(file, resolver)
        except (RuntimeError, ValueError) as error:
            file.with_suffix(".error").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), PLAIN if sys.argv[2:] == ["builtin"] else OpResolverType.AUTO)
