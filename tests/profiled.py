"""What PyTorch's profiler counts of a piece of work."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch


def profiled_peak(work: Callable[[], object]) -> int:
    """Most bytes that were allocated at once on the CPU."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = seen.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return max(accumulate(change for _, change in changes))
