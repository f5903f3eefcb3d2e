"""TFLite metadata: what the input means, how it is normalised, and the labels, inside the file itself.

Android Studio and the Task and MediaPipe libraries read it. The record is a flatbuffer of its own (the published
metadata_schema.fbs, identifier M001) in a buffer of the model named TFLITE_METADATA; the labels are a zip behind the
model's last byte, as the format wants it. Runtimes that know neither ignore both.

Source: tensorflow/tflite-support, tensorflow_lite_support/metadata/metadata_schema.fbs, version 1.0.0 of its tables.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.artifact import Contract
from edgekit.registry import Preprocess
from edgekit.target import Emitted, TensorInfo
from edgekit.targets.tflite.flatbuffer import pack_model

METADATA = "TFLITE_METADATA"
IDENTIFIER = b"M001"
MIN_PARSER = "1.0.0"
LABELS = "labels.txt"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold: the bytes depend on the content alone
TENSOR_AXIS_LABELS = 2  # AssociatedFileType
FEATURE, IMAGE = 1, 2  # ContentProperties
NORMALIZATION = 1  # ProcessUnitOptions
RGB, GRAYSCALE = 1, 2  # ColorSpaceType

Slot = Callable[[flatbuffers.Builder, int], None]
"""Writes one field of a table into the slot of that number."""


def add_metadata(emitted: Emitted, contract: Contract, name: str) -> Emitted:
    """The same file with its metadata and, where there are some, its labels at the end."""
    record = describe(contract, name)
    model = schema.ModelT.InitFromPackedBuf(bytearray(emitted.data), 0)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(record, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return replace(emitted, data=with_labels(pack_model(model), contract.labels))


def with_labels(data: bytes, labels: Sequence[str]) -> bytes:
    """The file and a zip of labels.txt behind it; the zip's offsets count from the file's start."""
    if not labels:
        return data
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, FIXED_TIME), "\n".join(labels) + "\n")
    return stream.getvalue()


def describe(contract: Contract, name: str) -> bytes:
    """The flatbuffer of a ModelMetadata table.

    A BGR input is described in words only: the schema has no such colour space, and a reader that took it for RGB would
    feed wrong colours without a warning.
    """
    builder = flatbuffers.Builder(4096)
    inputs = [_input(builder, tensor, contract) for tensor in contract.inputs]
    outputs = [_output(builder, tensor, contract.labels) for tensor in contract.outputs]
    subgraph = _table(builder, {2: _offset(_tables(builder, inputs)), 3: _offset(_tables(builder, outputs))})
    description = "Exported by edgekit; contract.json of its bundle has the preprocessing in full."
    root = _table(
        builder,
        {
            0: _text(builder, name),
            1: _text(builder, description),
            3: _offset(_tables(builder, [subgraph])),
            7: _text(builder, MIN_PARSER),
        },
    )
    builder.Finish(root, IDENTIFIER)
    return bytes(builder.Output())


def _input(builder: flatbuffers.Builder, tensor: TensorInfo, contract: Contract) -> int:
    fields = {0: _text(builder, tensor.name), 1: _text(builder, "; ".join(contract.steps))}
    feed = contract.preprocess
    if tensor.layout == "NHWC" and feed.channel_order == "RGB":
        mean, std = pixel_normalization(feed)
        fields |= {
            3: _offset(_image(builder, tensor, GRAYSCALE if len(mean) == 1 else RGB)),
            4: _offset(_tables(builder, [_normalization(builder, mean, std)])),
            5: _offset(_stats(builder, mean, std)),
        }
    return _table(builder, fields)


def pixel_normalization(feed: Preprocess) -> tuple[list[float], list[float]]:
    """(mean, std) for pixels 0..255: (x - mean) / std is the value before quantization."""
    return [255 * mean for mean in feed.mean], [255 * std for std in feed.std]


def _image(builder: flatbuffers.Builder, tensor: TensorInfo, colours: int) -> int:
    size = _table(builder, {0: _uint(tensor.shape[2]), 1: _uint(tensor.shape[1])})
    image = _table(builder, {0: _byte(colours), 1: _offset(size)})
    return _table(builder, {0: _ubyte(IMAGE), 1: _offset(image)})


def _normalization(builder: flatbuffers.Builder, mean: list[float], std: list[float]) -> int:
    options = _table(builder, {0: _offset(_floats(builder, mean)), 1: _offset(_floats(builder, std))})
    return _table(builder, {0: _ubyte(NORMALIZATION), 1: _offset(options)})


def _stats(builder: flatbuffers.Builder, mean: list[float], std: list[float]) -> int:
    """Largest and smallest value per channel."""
    ends = ([(pixel - m) / s for m, s in zip(mean, std, strict=True)] for pixel in (255, 0))
    largest, smallest = (_floats(builder, values) for values in ends)
    return _table(builder, {0: _offset(largest), 1: _offset(smallest)})


def _output(builder: flatbuffers.Builder, tensor: TensorInfo, labels: Sequence[str]) -> int:
    feature = _table(builder, {})
    content = _table(builder, {0: _ubyte(FEATURE), 1: _offset(feature)})
    fields = {0: _text(builder, tensor.name), 3: _offset(content)}
    if labels and tensor.meaning == "scores":
        file = {0: _text(builder, LABELS), 1: _text(builder, "class names"), 2: _byte(TENSOR_AXIS_LABELS)}
        fields[6] = _offset(_tables(builder, [_table(builder, file)]))
    return _table(builder, fields)


def _table(builder: flatbuffers.Builder, fields: dict[int, Slot]) -> int:
    """A table of fields by slot; everything that they point to is written already."""
    builder.StartObject(max(fields, default=-1) + 1)
    for slot, write in fields.items():
        write(builder, slot)
    return int(builder.EndObject())


def _tables(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.float32)))


def _text(builder: flatbuffers.Builder, text: str) -> Slot:
    return _offset(int(builder.CreateString(text)))


def _offset(offset: int) -> Slot:
    return lambda builder, slot: builder.PrependUOffsetTRelativeSlot(slot, offset, 0)


def _byte(value: int) -> Slot:
    return lambda builder, slot: builder.PrependInt8Slot(slot, value, 0)


def _ubyte(value: int) -> Slot:
    return lambda builder, slot: builder.PrependUint8Slot(slot, value, 0)


def _uint(value: int) -> Slot:
    return lambda builder, slot: builder.PrependUint32Slot(slot, value, 0)
