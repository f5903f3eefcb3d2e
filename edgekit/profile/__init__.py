"""What a model costs, counted rather than measured: parameters and multiply-accumulates."""

from edgekit.profile.count import Counts, count

__all__ = ["Counts", "count"]
