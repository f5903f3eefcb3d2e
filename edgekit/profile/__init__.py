"""What a model costs, counted rather than measured: parameters, multiply-accumulates, memory."""

from edgekit.profile.count import Counts, count
from edgekit.profile.memory import Memory, memory
from edgekit.profile.stages import Stage, stages

__all__ = ["Counts", "Memory", "Stage", "count", "memory", "stages"]
