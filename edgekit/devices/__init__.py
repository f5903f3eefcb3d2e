"""Where a model file is run: this host, an emulated ARM core, a board over SSH, a phone over adb.

    with open_device("emulated:cortex-a76") as device:
        device.push(Path("model.tflite"), "model.tflite")

Modules of this package register drivers, one file per driver; `runner.py` and `runner_c/` are what runs on a device.
"""
