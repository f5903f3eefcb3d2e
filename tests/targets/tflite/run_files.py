"""Runs every .tflite file of a folder under tflite-runtime, one process for all; needs that package and numpy alone.

    python run_files.py FOLDER

Beside name.tflite lies name.npz with its inputs in order; name.out.npz takes the outputs, name.error what went wrong.
"""

import sys
from pathlib import Path

import numpy as np
from tflite_runtime.interpreter import Interpreter


def run(file: Path) -> None:
    feeds = np.load(file.with_suffix(".npz"))
    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    for detail, name in zip(interpreter.get_input_details(), feeds.files):  # noqa: B905 - any Python this runtime has
        interpreter.set_tensor(detail["index"], feeds[name])
    interpreter.invoke()
    outputs = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    np.savez(file.with_suffix(".out.npz"), *outputs)


def main(folder: Path) -> None:
    for file in sorted(folder.glob("*.tflite")):
        try:
            run(file)
        except (RuntimeError, ValueError) as error:
            file.with_suffix(".error").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
