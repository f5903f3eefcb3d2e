"""Changes to bytes, texts, JSON documents, archives and ONNX files, each drawn from a `Random`."""

import io
import json
import warnings
import zipfile
from contextlib import suppress
from random import Random
from typing import Any

import onnx
from google.protobuf.message import Message

NUMBERS = (0, 1, -1, 2, 3, 7, 255, 2**15, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))
WORDS = (
    *("", " ", "x", "y", "w", "\n", "a\tb", "a\nb", "\x1b[31mred", "\u202eevil", "é", "\U0001f600", "a" * 300),
    *("../../up", "/etc/passwd", "..", "NaN", "-1", "0", "<b>", "'; $(id)", "a,b", "%s{0}", "\x00", "\x7f"),
    *("CON", "Conv", "If", "Loop", "Identity", "QuantizeLinear", "float32", "ai.onnx.ml"),
)
VALUES: tuple[Any, ...] = (None, True, False, [], {}, [[]], [1, "a"], {"a": 1}, *NUMBERS, *FLOATS, *WORDS)


def damaged(data: bytes, draw: Random) -> bytes:
    """Truncated, with flipped bytes, with a piece repeated, cut out or overwritten."""
    if not data:
        return b"\x00"
    at = draw.randrange(len(data))
    length = draw.choice((1, 2, 4, 16, 256))
    match draw.randrange(6):
        case 0:
            return data[:at]
        case 1:
            changed = bytearray(data)
            for _ in range(length):
                changed[draw.randrange(len(data))] = draw.randrange(256)
            return bytes(changed)
        case 2:
            return data[:at] + data[at : at + length] * draw.choice((2, 100)) + data[at + length :]
        case 3:
            return data[:at] + data[at + length :]
        case 4:
            return data[:at] + draw.choice((b"\xff", b"\x00", b"\x80")) * length + data[at + length :]
    changed = bytearray(data)
    changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


def reworded(data: bytes, draw: Random) -> bytes:
    """A text with one line, word or value of another form; now and then damaged bytes."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    at = draw.randrange(len(lines))
    word = draw.choice(WORDS)
    match draw.randrange(7):
        case 0:
            return damaged(data, draw)
        case 1:
            del lines[at]
        case 2:
            lines.insert(at, lines[draw.randrange(len(lines))])
        case 3:
            lines[at] = word
        case 4:
            lines[at] = lines[at].partition("=")[0] + "= " + draw.choice((json.dumps(word), *map(str, NUMBERS), "[]"))
        case 5:
            lines[at] = word + lines[at]
        case 6:
            lines[at] = "[" * draw.choice((1, 2, 5000)) + lines[at]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def another_document(data: bytes, draw: Random) -> bytes:
    """JSON with one value of another form, a key less, one more or renamed; now and then damaged text."""
    if draw.random() < 0.15:
        return damaged(data, draw)
    document = json.loads(data)
    places = list(_places(document))
    for _ in range(draw.choice((1, 1, 1, 3))):
        holder, key = draw.choice(places)
        with suppress(KeyError, IndexError):  # an earlier change took it away
            match draw.randrange(5):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[draw.choice(WORDS)] = holder.pop(key)
                case 2 if isinstance(holder, list):
                    holder.extend(holder[:1] * draw.choice((1, 50)))
                case _:
                    holder[key] = draw.choice(VALUES)
    return json.dumps(document).encode()


def _places(value: Any) -> Any:
    keys = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def another_archive(data: bytes, draw: Random) -> bytes:
    """A zip with one member damaged, renamed, left out, given twice, or of other JSON; or with damaged bytes."""
    if draw.random() < 0.2:
        return damaged(data, draw)
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        members = [(name, source.read(name)) for name in source.namelist()]
    at = draw.randrange(len(members))
    name, content = members[at]
    match draw.randrange(6):
        case 0:
            del members[at]
        case 1:
            members[at] = (draw.choice(WORDS) or "empty", content)
        case 2:
            members[at] = (name, members[draw.randrange(len(members))][1])
        case 3:
            members.append((name + draw.choice(("", "/x", ".bak")), content))
        case _:
            is_json = name.endswith(".json") and content[:1] in b"{["
            members[at] = (name, another_document(content, draw) if is_json else damaged(content, draw))
    file = io.BytesIO()
    method = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as out:
        warnings.simplefilter("ignore")  # a name given twice is meant
        for member, its in members:
            out.writestr(zipfile.ZipInfo(member), its, compress_type=method)
    return file.getvalue()


def another_onnx(model: onnx.ModelProto, draw: Random) -> bytes:
    """The model with some fields changed, wherever they are: dims, dtypes, names, attributes, opsets, subgraphs."""
    if draw.random() < 0.1:
        return damaged(model.SerializeToString(), draw)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        _change_field(draw.choice(list(_messages(changed))), draw)
    return changed.SerializeToString()


def _messages(message: Message) -> Any:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else (value,):
                yield from _messages(each)


def _change_field(message: Message, draw: Random) -> None:
    fields = [field for field, _ in message.ListFields()]
    if not fields or draw.random() < 0.15:
        fields = list(message.DESCRIPTOR.fields)
    field = draw.choice(fields)
    if field.is_repeated:
        _change_list(getattr(message, field.name), field, draw)
    elif field.message_type is not None or draw.random() < 0.1:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _scalar(field, draw))


def _change_list(values: Any, field: Any, draw: Random) -> None:
    at = draw.randrange(len(values)) if len(values) else None
    how = draw.randrange(4)
    if at is None or how == 0:
        if field.message_type is None:
            values.append(_scalar(field, draw))
        else:
            values.add()
    elif how == 1:
        del values[at]
    elif how == 2 and field.message_type is not None:
        values.add().CopyFrom(values[at])
    elif field.message_type is None:
        values[at] = _scalar(field, draw)
    elif len(values) > 1:
        values[at].CopyFrom(values[draw.randrange(len(values))])


def _scalar(field: Any, draw: Random) -> Any:
    if field.cpp_type == field.CPPTYPE_STRING:
        word = draw.choice(WORDS)
        return word.encode() if field.type == field.TYPE_BYTES else word
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return draw.choice(FLOATS)
    if field.cpp_type == field.CPPTYPE_ENUM:
        return draw.choice(field.enum_type.values).number
    wide = field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
    low = 0 if field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64) else -(2**63)
    return draw.choice([n for n in (*NUMBERS, *range(24)) if n >= low and (wide or -(2**31) <= n < 2**31)])
