"""nn.Module -> ONNX: the module runs once, and each ATen call that depends on the input is written down.

torch.export knows more, symbolic shapes and guards, and pays for it with 900 imported modules, 2 CPU seconds. Here the
shapes are fixed and the input is the only thing that varies, so whatever does not depend on it is a constant. What
cannot be written down like this is refused, never guessed: an operator without a rule, a value that another one
overwrites, a module that changes itself, data that leaves torch. The last can happen unseen, so two images are
recorded: a constant that depends on the image is seldom the same in both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import fx, nn
from torch._ops import OpOverload
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from edgekit.trace.aten import DTYPES, OWN_TYPES, RULES, Untraceable
from edgekit.trace.capture import blank, program_of
from edgekit.trace.memory import Memory, address
from edgekit.trace.outputs import named_tensors
from edgekit.trace.state import unchanged
from edgekit.trace.writer import Writer, listed, same_graph

TENSOR = torch.Tensor
# Called by these names they are recorded whole: ATen takes them apart into products of matrices between reshapes.
LINEAR, MATMUL = torch.ops.aten.linear.default, torch.ops.aten.matmul.default
ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
LSTM, GRU = torch.ops.aten.lstm.input, torch.ops.aten.gru.input
WHOLE: dict[Any, OpOverload] = {
    nn.functional.linear: LINEAR,
    LINEAR: LINEAR,
    torch.matmul: MATMUL,
    TENSOR.matmul: MATMUL,
    TENSOR.__matmul__: MATMUL,
    MATMUL: MATMUL,
    nn.functional.scaled_dot_product_attention: ATTENTION,
    ATTENTION: ATTENTION,
    torch.lstm: LSTM,
    torch.gru: GRU,
}
# Here data leaves torch, or comes into a tensor, without an ATen call.
ESCAPES = {
    *(TENSOR.numpy, TENSOR.tolist, TENSOR.__array__, TENSOR.__dlpack__, TENSOR.__reduce_ex__, TENSOR.new_tensor),
    *(TENSOR.data_ptr, TENSOR.storage, TENSOR.untyped_storage, TENSOR.apply_, TENSOR.map_),
    TENSOR.data.__get__,  # type: ignore[attr-defined]
}
EXCHANGE = TENSOR.data.__set__  # type: ignore[attr-defined]
# In training it writes its running statistics, and does not say so in its schema.
BATCH_NORM = torch.ops.aten.native_batch_norm.default
BATCH_NORM_STATISTICS, BATCH_NORM_TRAINING = slice(3, 5), 5


def record(module: nn.Module, input_shape: tuple[int, ...]) -> ir.Model | None:
    """The float graph of `module` at one fixed input shape, or None where it cannot be recorded.

    Args:
        module: in eval mode, or the holder of an exported program, whose graph is run in its place.

    Raises:
        EdgekitError: EK203 for a shape that no tensor has.
    """
    image = blank(input_shape)
    noise = 3 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    try:
        graph, again = _record(module, image), _record(module, noise)
    except Exception:  # noqa: BLE001 - a forward may raise anything; what is wrong with it, torch.export will say
        return None
    return graph if same_graph(graph, again) else None


def _record(module: nn.Module, image: torch.Tensor) -> ir.Model:
    recorder = _Recorder(module, image)
    with unchanged(module), torch.no_grad(), recorder.modules.followed(), recorder, _Composites(recorder):
        results = _runner(module, recorder.modules)(image)
    return recorder.finish(named_tensors(results))


class _Modules:
    """Which module is running: its path in the root module."""

    def __init__(self, root: nn.Module) -> None:
        self._paths = {id(part): path for path, part in root.named_modules()}
        self._running: list[str] = []

    @property
    def current(self) -> str:
        return self._running[-1] if self._running else ""

    def enter(self, module: nn.Module, _: Any) -> None:
        self._running.append(self._paths.get(id(module), self.current))

    def leave(self, *_: Any) -> None:
        self._running.pop()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Every module says when it begins and ends, wherever it is called from."""
        hooks = register_module_forward_pre_hook(self.enter), register_module_forward_hook(self.leave, always_call=True)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def inside(self, path: str) -> Iterator[None]:
        self._running.append(path)
        try:
            yield
        finally:
            self._running.pop()


def _runner(module: nn.Module, modules: _Modules) -> Callable[[torch.Tensor], Any]:
    """What runs `module`: itself, or the graph of the program that it holds."""
    program = program_of(module)
    return module if program is None else _Program(program.module(), modules).run


class _Program(fx.Interpreter):
    """Runs the graph of an exported program. Its modules are no more, but each node knows which it came from."""

    def __init__(self, graph: fx.GraphModule, modules: _Modules) -> None:
        super().__init__(graph)
        self._modules = modules

    def run_node(self, node: fx.Node) -> Any:
        stack = list(node.meta.get("nn_module_stack", {}).values())
        with self._modules.inside(str(stack[-1][0]) if stack else ""):
            return super().run_node(node)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a tensor stands for.

    Args:
        value: None when the graph does not have it.
        version: the tensor's count of writes, shared with its views. A tensor with another count now was overwritten.
    """

    value: ir.Value | None
    version: int


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down each ATen call with a tensor that depends on the image."""

    def __init__(self, module: nn.Module, image: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        program = program_of(module)
        state = module.named_parameters(), module.named_buffers()
        named = [program.state_dict.items(), program.constants.items()] if program is not None else state
        self._named = {id(tensor): (name, tensor) for tensors in named for name, tensor in tensors}
        kept = [value for part in module.modules() for value in vars(part).values() if isinstance(value, torch.Tensor)]
        self._state = {address(tensor) for tensor in [*kept, *(tensor for _, tensor in self._named.values())]} - {0}
        self.modules = _Modules(module)
        self._writer = Writer(tuple(image.shape))
        self._known = WeakTensorKeyDictionary({image: _Known(self._writer.input, image._version)})
        self._constants: dict[tuple[int, torch.dtype], ir.Value] = {}
        self._memory = Memory()
        self._paused = False
        self._refusal: Exception | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; True would import the compiler to tell it so."""
        return False

    def __torch_dispatch__(self, call: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():  # in TorchScript it is still on, and would watch the recorder
            with self.remembered():
                self._keep_state(call, args, kwargs or {})
            result = call(*args, **(kwargs or {}))
            if not self._paused:
                with self.remembered():
                    self.write(call, args, kwargs or {}, result)
            return result

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """A refusal that a forward catches, thinking it its own (`except RuntimeError`), is one all the same."""
        try:
            yield
        except Exception as refusal:  # whatever a rule raises
            self._refusal = refusal
            raise

    def _keep_state(self, call: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Refuse a write into a parameter or buffer before it happens: tracing leaves a module as it was."""
        if not call._schema.is_mutable and call is not BATCH_NORM:
            return
        arguments = _by_position(call, args, kwargs)
        declared = zip(arguments, call._schema.arguments, strict=True)
        targets = [argument for argument, said in declared if said.alias_info is not None and said.alias_info.is_write]
        if call is BATCH_NORM and arguments[BATCH_NORM_TRAINING]:
            targets = arguments[BATCH_NORM_STATISTICS]
        written = [tensor for target in targets for tensor in listed(target) if tensor is not None]
        if any(address(tensor) in self._state for tensor in written):
            raise Untraceable(f"{call} changes the module")
        if not self._paused and self.depends(arguments):
            for tensor in (tensor for tensor in written if not self.depends(tensor)):
                self._keep_constant(tensor)

    def _keep_constant(self, tensor: torch.Tensor) -> None:
        """Note what a constant holds before something that depends on the image is written into it."""
        whole = tensor._base if tensor._is_view() and tensor._base is not None else tensor
        self._memory.add(whole, self._constant(whole.clone(), whole.dtype != torch.float64), owner=whole)

    def whole(self, call: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Make and write one call without the calls that it is made of."""
        self._paused = True
        try:
            result = call(*args, **kwargs)
        finally:
            self._paused = False
        with self.remembered():
            self.write(call, args, kwargs, result)
        return result

    def depends(self, arguments: Any) -> bool:
        """Whether a tensor in nested arguments depends on the image."""
        return any(tensor in self._known or self._memory.holds(tensor) for tensor in _nested(arguments))

    def knows(self, result: Any) -> bool:
        """Whether every tensor in a nested result is in the graph, or known not to be."""
        return all(tensor in self._known or self._memory.holds(tensor) for tensor in _nested(result))

    def write(self, call: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        arguments = _by_position(call, args, kwargs)
        if not self.depends(arguments):
            return
        operator, overwrites = operator_name(call)
        if operator not in RULES or call._schema.is_mutable != overwrites:
            raise Untraceable(f"{call} has no rule")
        if overwrites and not self.depends(args[0]):
            raise Untraceable(f"{call} writes into a constant")
        own_types = operator in OWN_TYPES or any(tensor.dtype != torch.float32 for tensor in _nested(result))
        self._writer.enter(operator, self.modules.current)
        operands = [self._operand(argument, own_types) for argument in arguments]
        values = self._writer.lower(operator, result, operands)
        for value, tensor in zip(values, listed(result), strict=True):
            # A write is counted after this call. A view gets its share of the count then too.
            version = args[0]._version + overwrites if overwrites or call.is_view else tensor._version
            self._known[tensor] = _Known(value, version)
            if overwrites and value is not None:
                self._memory.write(self._writer, tensor, value, version)
            elif value is not None and not self._is_alias(tensor, arguments):
                self._memory.add(tensor, value)

    def _is_alias(self, tensor: torch.Tensor, arguments: Sequence[Any]) -> bool:
        """Whether a result lies in the memory of an argument."""
        return any(address(argument) == address(tensor) for argument in _nested(arguments))

    def _operand(self, argument: Any, own_types: bool) -> Any:
        if isinstance(argument, list | tuple):
            return [self._operand(item, own_types) for item in argument]
        return self._value(argument, own_types) if isinstance(argument, torch.Tensor) else argument

    def _value(self, tensor: torch.Tensor, own_types: bool = False) -> ir.Value:
        known: _Known | None = self._known.get(tensor)  # type: ignore[no-untyped-call]
        if known is None and not self._memory.holds(tensor):
            return self._constant(tensor, own_types)
        if known is not None and known.value is not None and known.version == tensor._version:
            return known.value
        if known is not None and known.value is None:
            raise Untraceable("a value is read that ONNX does not have")
        value = self._memory.read(self._writer, tensor)
        value.shape, value.dtype = ir.Shape(list(tensor.shape)), DTYPES[tensor.dtype]
        self._known[tensor] = _Known(value, tensor._version)
        return value

    def _constant(self, tensor: torch.Tensor, own_types: bool) -> ir.Value:
        """Where a float32 result comes of an integer or double constant, torch takes it as float32."""
        if tensor.is_complex():
            raise Untraceable("a constant is complex")
        dtype = torch.float32
        if own_types and not tensor.is_floating_point():
            dtype = torch.bool if tensor.dtype == torch.bool else torch.int64
        if id(tensor) not in self._named:  # computed on the way: it may change or go
            return self._writer.constant("constant", tensor.detach().to(dtype, copy=True).numpy())
        key = id(tensor), dtype
        if key not in self._constants:
            self._constants[key] = self._writer.constant(self._named[id(tensor)][0], tensor.detach().to(dtype).numpy())
        return self._constants[key]

    def finish(self, results: Mapping[str, torch.Tensor]) -> ir.Model:
        if self._refusal is not None:
            raise self._refusal
        if any(tensor.dtype not in DTYPES for tensor in results.values()):
            raise Untraceable("a result is of a type that no target has")
        self._writer.enter("result", "")
        return self._writer.finish({name: self._value(tensor) for name, tensor in results.items()})


class _Composites(TorchFunctionMode):
    """Sees functions before ATen takes them apart, and data that leaves torch."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call, given = WHOLE.get(function), kwargs or {}
        depends = self._recorder.depends([args, given])
        if call is not None and depends:
            return self._recorder.whole(call, args, given)
        with self._recorder.remembered():
            if function == EXCHANGE or (depends and function in ESCAPES):
                raise Untraceable(f"{function} takes data out of the model, or brings it in")
        result = function(*args, **given)
        with self._recorder.remembered():
            if depends and not self._recorder.knows(result):
                raise Untraceable(f"{function} gave a tensor that no ATen call made")
        return result


def _nested(values: Any) -> Iterator[torch.Tensor]:
    """The tensors in nested arguments or results."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, list | tuple | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _nested(value)


def operator_name(call: OpOverload) -> tuple[str, bool]:
    """("relu", True) for aten.relu_.default: the name without overload, and whether it writes to its input."""
    name = str(call.overloadpacket).removeprefix("aten.")
    return name.rstrip("_") if not name.startswith("_") else name, name.endswith("_")


def _by_position(call: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """All arguments by position, defaults filled in."""
    rest = call._schema.arguments[len(args) :]
    return [*args, *(kwargs.get(argument.name, argument.default_value) for argument in rest)]
