"""Runs that a sweep starts beside this one, on the same device."""

import os

ENV = "B2_JOBS_A_DEVICE"


def count() -> int:
    """How many runs share this one's device, itself included."""
    return max(1, int(os.environ.get(ENV) or 1))
