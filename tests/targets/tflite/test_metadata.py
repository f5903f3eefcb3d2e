"""TFLite metadata: what Android Studio reads in a file, and that no runtime minds it."""

import importlib.util
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgekit.artifact import Contract
from edgekit.registry import Preprocess
from edgekit.target import Emitted, EmittedNode, TensorInfo
from edgekit.targets.tflite.flatbuffer import FlatbufferWriter
from edgekit.targets.tflite.metadata import METADATA, add_metadata, describe, pixel_normalization
from edgekit.targets.tflite.run import load_interpreter

SCHEMA = ("mediapipe==1.2.3", "mediapipe/tasks/metadata/metadata_schema_py_generated.py")
"""A package that publishes the reader which flatc makes of the schema."""

IMAGE = TensorInfo("image", (1, 6, 8, 3), "float32", "NHWC")
SCORES = TensorInfo("scores", (1, 2), "float32", "NC", meaning="scores")
OFFSETS = TensorInfo("offsets", (1, 4), "float32", "NC", meaning="values")
FEED = Preprocess(8, (6, 8), mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))


def contract(feed=FEED, labels=("cat", "é"), outputs=(SCORES,)):
    return Contract((IMAGE,), outputs, feed, ("decode", "resize"), labels)


@pytest.fixture(scope="module")
def plain() -> Emitted:
    """A file that gives back its input."""
    writer = FlatbufferWriter()
    image, scores = (writer.tensor(name, (1, 6, 8, 3), "float32") for name in ("image", "scores"))
    writer.operator(EmittedNode("RELU", "relu"), [image], [scores], {}, (1, "1.5.0"))
    return Emitted(writer.pack({"image": image}, {"scores": scores}), (IMAGE,), (SCORES,), {"RELU": 1})


def run(data):
    interpreter = load_interpreter(data)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones((1, 6, 8, 3), np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def entries(data):
    """Name -> bytes of the model's metadata."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    return {entry.name.decode(): bytes(model.buffers[entry.buffer].data) for entry in model.metadata}


def test_the_runtime_computes_the_same_with_it(plain):
    assert np.array_equal(run(add_metadata(plain, contract(), "net").data), run(plain.data))


def test_the_record_is_in_the_file_beside_the_oldest_runtime(plain):
    found = entries(add_metadata(plain, contract(), "net").data)
    assert found.keys() == {"min_runtime_version", METADATA}
    assert found[METADATA] == describe(contract(), "net")
    assert found[METADATA][4:8] == b"M001"


def test_the_labels_are_a_zip_at_the_end(plain):
    data = add_metadata(plain, contract(), "net").data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode() == "cat\né\n"
        assert archive.infolist()[0].header_offset > len(plain.data)


def test_a_model_without_labels_carries_no_zip(plain):
    assert not zipfile.is_zipfile(io.BytesIO(add_metadata(plain, contract(labels=()), "net").data))


def labelled(record):
    """Whether each output of a record has files: their vector is slot 6 of its table, the labels its one element."""
    tables = [flatbuffers.table.Table(record, flatbuffers.encode.Get(flatbuffers.packer.uoffset, record, 0))]
    for slot in (3, 3):  # the graphs of a model, the outputs of a graph
        field = tables[0].Offset(4 + 2 * slot)
        start = tables[0].Vector(field)
        places = [start + 4 * index for index in range(tables[0].VectorLen(field))]
        tables = [flatbuffers.table.Table(record, tables[0].Indirect(place)) for place in places]
    return [bool(table.Offset(4 + 2 * 6)) for table in tables]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ((SCORES, OFFSETS), [True, False]),
        ((OFFSETS, SCORES), [False, True]),
        ((OFFSETS, SCORES, OFFSETS), [False, True, False]),
        ((OFFSETS,), [False]),
    ],
)
def test_the_labels_belong_to_the_scores_alone(outputs, expected):
    assert labelled(describe(contract(outputs=outputs), "net")) == expected
    assert labelled(describe(contract(outputs=outputs, labels=()), "net")) == [False] * len(outputs)


def test_the_same_bytes_come_out_twice(plain):
    assert add_metadata(plain, contract(), "net").data == add_metadata(plain, contract(), "net").data


def test_normalisation_is_in_pixels():
    mean, std = pixel_normalization(FEED)
    assert (mean, std) == ([127.5, 102.0, 76.5], [127.5, 63.75, 51.0])


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The published schema's own reader."""
    folder = tmp_path_factory.mktemp("schema")
    package, path = SCHEMA
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"pip cannot download {package}: {done.stderr.strip().splitlines()[-1:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        source = Path(archive.extract(path, folder))
    spec = importlib.util.spec_from_file_location("metadata_schema", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(reader, *arguments):
    data = describe(contract(*arguments), "net")
    assert reader.ModelMetadata.ModelMetadataBufferHasIdentifier(data, 0)
    return reader.ModelMetadataT.InitFromObj(reader.ModelMetadata.GetRootAs(data, 0))


@pytest.mark.slow
def test_the_published_reader_finds_everything(reader):
    model = read(reader)
    assert (model.name, model.minParserVersion) == (b"net", b"1.0.0")
    (graph,) = model.subgraphMetadata
    (image,), (scores,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    assert (image.name, image.description, scores.name) == (b"image", b"decode; resize", b"scores")
    properties = image.content.contentProperties
    assert isinstance(properties, reader.ImagePropertiesT)
    assert properties.colorSpace == reader.ColorSpaceType.RGB
    assert (properties.defaultSize.width, properties.defaultSize.height) == (8, 6)
    (unit,) = image.processUnits
    assert isinstance(unit.options, reader.NormalizationOptionsT)
    assert list(unit.options.mean) == [127.5, 102.0, 76.5]
    assert list(unit.options.std) == [127.5, 63.75, 51.0]
    assert list(image.stats.min) == pytest.approx([-1.0, -1.6, -1.5])
    assert list(image.stats.max) == pytest.approx([1.0, 2.4, 3.5])
    assert isinstance(scores.content.contentProperties, reader.FeaturePropertiesT)
    (file,) = scores.associatedFiles
    assert (file.name, file.type) == (b"labels.txt", reader.AssociatedFileType.TENSOR_AXIS_LABELS)


@pytest.mark.slow
def test_a_grey_model_is_grey_and_bgr_is_left_to_words(reader):
    grey = read(reader, Preprocess(8, (6, 8), mean=(0.5,), std=(0.5,)))
    (image,) = grey.subgraphMetadata[0].inputTensorMetadata
    assert image.content.contentProperties.colorSpace == reader.ColorSpaceType.GRAYSCALE
    swapped = read(reader, Preprocess(8, (6, 8), channel_order="BGR"))
    (image,) = swapped.subgraphMetadata[0].inputTensorMetadata
    assert image.content is None
    assert image.processUnits is None
