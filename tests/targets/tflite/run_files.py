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
    outputs = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    np.savez(file.with_suffix(".out.npz"), *outputs)


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
