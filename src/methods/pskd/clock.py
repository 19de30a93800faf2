"""Seconds and samples of training, over all parts of an interrupted run."""

from __future__ import annotations

import time


class Clock:
    """Runs from the start of an epoch to the end of its last batch; evaluation does not count."""

    def __init__(self) -> None:
        self.seconds, self.samples = 0.0, 0
        self.start()

    def start(self) -> None:
        self._since, self._paused = time.monotonic(), 0.0

    def pause(self) -> None:
        """An evaluation begins in the midst of the epoch."""
        self._stopped = time.monotonic()

    def go_on(self) -> None:
        self._paused += time.monotonic() - self._stopped

    def stop(self, samples: int) -> None:
        """The epoch is over; the device has been waited for."""
        self.seconds += time.monotonic() - self._since - self._paused
        self.samples += samples

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self.seconds, "samples": self.samples}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.seconds, self.samples = float(state["seconds"]), int(state["samples"])
