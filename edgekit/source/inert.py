"""Reading a pickle without running what it names: everything but tensors becomes a placeholder.

A pickle is a program that calls what it names. Here a name is never looked up: the dozen that build tensors stand in
TENSORS, behind objects that a pickle can call and not change, and every other name is a class of this file that keeps
what it is given. So the configuration, the scheduler or the module that a training script put beside the weights is
read as data, whether or not its library is installed.
"""

import pickle
import tarfile
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

RUNS_CODE = frozenset(
    ("os", "nt", "posix", "sys", "subprocess", "shutil", "socket", "runpy", "importlib", "io", "_io", "ctypes", "code")
)
"""Modules that no training script puts into a checkpoint: who names them wants something to be run."""

RUNS_CODE_BUILTINS = frozenset(("eval", "exec", "execfile", "open", "compile", "__import__", "breakpoint", "input"))
NUMBERS = frozenset(("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"))
"""NumPy's names of the dtypes that become tensors."""


class Code(Exception):
    """A pickle that names something which runs code. Args: name: in full."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Placeholder(dict[Any, Any]):
    """An object of a class that was not looked up; it takes whatever a pickle gives an object.

    Args:
        args: what its class was called with.
        state: what the pickle then set on it; a module's holds `_parameters`, `_buffers` and `_modules`.
    """

    name = "object"
    args: tuple[Any, ...] = ()
    state: Any = None
    dump_patches = False  # torch asks the modules of its old format
    __hash__ = object.__hash__  # type: ignore[assignment]  # it may be a key itself
    __eq__ = object.__eq__

    def __new__(cls, *_: Any, **__: Any) -> "Placeholder":
        return dict.__new__(cls)

    def __init__(self, *args: Any, **_: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        self[len(self)] = item

    def extend(self, items: Any) -> None:
        for item in items:
            self.append(item)

    add = append

    @property
    def parts(self) -> Iterator[tuple[str, Any]]:
        """What it holds, by name; "" for what has none. A module's tensors and modules have their own names."""
        state = self.state if isinstance(self.state, dict) else {"": self.state}
        for name, held in (*self.items(), *(("", each) for each in self.args), *state.items()):
            yield ("" if name in ("_parameters", "_buffers", "_modules") else str(name)), held


class Array(Placeholder):
    """A NumPy array: `args` and `state` are those of its pickle."""

    @property
    def tensor(self) -> Tensor | None:
        """The array; None where it holds no numbers."""
        try:
            _, shape, dtype, fortran, data = self.state
            (code, *_), (_, order, *_) = dtype.args, dtype.state
            if code not in NUMBERS:
                return None
            flat = np.frombuffer(data, np.dtype(code).newbyteorder(order))
            native = flat.reshape(shape, order="F" if fortran else "C").astype(code)
            return torch.from_numpy(np.ascontiguousarray(native).reshape(shape))
        except (TypeError, ValueError, AttributeError):
            return None


class _Call:
    """A function that a pickle may call, and nothing else: BUILD has no hold on it."""

    __slots__ = ("_run",)

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._run(*args, **keywords)

    def __setstate__(self, state: Any) -> None:
        """Stay as it is."""


class _Storage:
    """A kind of storage. Args: dtype: of its elements."""

    __slots__ = ("_dtype", "dtype")

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = self._dtype = dtype

    def __setstate__(self, state: Any) -> None:
        """Stay as it is."""


def _subclass(build: Callable[..., Any], _: object, args: tuple[Any, ...], *__: Any) -> Any:
    """A tensor with attributes, or of a subclass: the tensor alone."""
    return build(*args)


def _object(kind: Any, *_: Any) -> Placeholder:
    """What copyreg makes for pickles of protocol 0 and 1."""
    return kind() if isinstance(kind, type) and issubclass(kind, Placeholder) else Placeholder()


def _nested(*_: Any) -> type[Placeholder]:
    """An attribute of something that was not looked up: a class inside a class."""
    return type("Placeholder", (Placeholder,), {"name": "attribute"})


TENSORS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor": torch._utils._rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": torch._utils._rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._utils._rebuild_qtensor": torch._utils._rebuild_qtensor,
    "torch._utils._rebuild_sparse_tensor": torch._utils._rebuild_sparse_tensor,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.serialization._get_layout": torch.serialization._get_layout,
    "torch.storage._load_from_bytes": lambda data: torch.load(BytesIO(data), map_location="cpu", weights_only=True),
    "torch.Size": torch.Size,
    "torch.device": torch.device,
    "_codecs.encode": lambda text, *_: text.encode("latin1"),
    "copyreg._reconstructor": _object,
    "builtins.getattr": _nested,
}
"""What a pickle can call. Each makes a tensor or holds data; none takes a path, a name or code."""


def read_inert(path: Path) -> tuple[object, tuple[str, ...]]:
    """What torch.save wrote, in any of its formats, and the names that became placeholders.

    Raises:
        Code: the file names something that runs code.
        Exception: whatever torch's reader and pickle raise on a file that is broken.
    """
    replaced: dict[str, type[Placeholder]] = {}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return _look_up(module, name, replaced)

    def load(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    _check_tar(path)
    if not zipfile.is_zipfile(path) and not tarfile.is_tarfile(path):
        with path.open("rb") as file:
            first = load(file, encoding="latin1")
        if first != torch.serialization.MAGIC_NUMBER:  # pickled without torch.save
            return first, tuple(replaced)
    reader = SimpleNamespace(Unpickler=Unpickler, load=load, __name__=__name__)
    with warnings.catch_warnings(action="ignore"):
        loaded: object = torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)
    return loaded, tuple(replaced)


def _look_up(module: str, name: str, replaced: dict[str, type[Placeholder]]) -> Any:
    """What stands for a name; the name itself is never imported."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))  # Python 2's names
    full = f"{module}.{name}"
    if module.partition(".")[0] in RUNS_CODE or (module == "builtins" and name in RUNS_CODE_BUILTINS):
        raise Code(full)
    if full in TENSORS:
        return _Call(TENSORS[full])
    if module == "torch":
        if name.endswith("Storage") and (storage := getattr(torch, name, None)) in torch._storage_classes:
            return _Storage(storage.dtype)
        if isinstance(value := getattr(torch, name, None), torch.dtype | torch.qscheme | torch.layout):
            return value
    if full not in replaced:
        base = Array if full.startswith("numpy.") and full.endswith("multiarray._reconstruct") else Placeholder
        replaced[full] = type("Placeholder", (base,), {"name": full})
    return replaced[full]


def _check_tar(path: Path) -> None:
    """Of a file of torch's first format, which is extracted to be read, every member must be a plain file."""
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            if any(member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) for member in archive):
                raise ValueError("its archive holds something else than files")
