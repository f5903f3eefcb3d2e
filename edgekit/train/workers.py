"""The processes of a run: one, or several that torchrun started, each with its share of every batch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from edgekit.train.config import TrainConfig, unusable


@dataclass(frozen=True, slots=True)
class Workers:
    """Args: count: processes; rank: which of them this is."""

    count: int = 1
    rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module for forward passes in training: gradients become means over all processes (DDP)."""
        if self.count == 1 or not any(parameter.requires_grad for parameter in module.parameters()):
            return module
        return nn.parallel.DistributedDataParallel(module, find_unused_parameters=has_unused_heads(module))


ALONE = Workers()


def has_unused_heads(module: nn.Module) -> bool:
    """Whether some parameters may get no gradient, as those behind a dropped path do."""
    return any("droppath" in type(part).__name__.lower() for part in module.modules())


@contextmanager
def joined(device: torch.device) -> Iterator[Workers]:
    """The processes that torchrun started, by its environment variables; one without. gloo on CPUs, NCCL on GPUs."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Workers()
        return
    rank = int(os.environ["RANK"])
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(count, rank)
    finally:
        distributed.destroy_process_group()


def chosen_device(config: TrainConfig) -> torch.device:
    """The device of this process. EK106 where there is none of the kind asked for."""
    name = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise unusable(f"{name!r} is no device to train on", "--device", "cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise unusable("this torch sees no CUDA device", "--device", "leave it out to train on the CPU")
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(name)
    return torch.device(name)


def check_precision(config: TrainConfig, device: torch.device) -> None:
    """EK106 where bfloat16 would be emulated: many times slower than float32."""
    if config.precision == "bfloat16" and not has_bfloat16(device):
        raise unusable(f"this {device.type} has no bfloat16 arithmetic", "--precision", "leave it out: float32")


def has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()) or is_arm_with_bfloat16()


def is_arm_with_bfloat16() -> bool:
    """Linux lists what an ARM CPU has."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return any(line.startswith("Features") and " bf16" in line for line in file)
    except OSError:
        return False
