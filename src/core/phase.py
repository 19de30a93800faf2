"""A named part of an epoch, as methods know it: shown while it is under way, and ended where a stop is asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lightning.pytorch import Trainer

from src.core import console, signals
from src.core.callbacks import stop_together
from src.core.errors import UserError
from src.core.progress import ConsoleProgress

Advance = Callable[..., None]


@contextmanager
def phase(trainer: Trainer | None, name: str, total: int | None = None, unit: str = "",
          most: int = 0) -> Iterator[Advance]:
    """Show a named part of an epoch: ``with phase(self.trainer, "sampling", total=10, unit="step") as advance:``.

    ``advance(n)`` moves it by n units; between two units a stop that was asked for (Ctrl-C) takes effect. On several
    ranks all of them have to enter the phase, and ``most`` is the largest number of times that one calls ``advance``.
    Without a trainer or without the console callback nothing is shown.
    """
    display = next((item for item in getattr(trainer, "callbacks", []) if isinstance(item, ConsoleProgress)), None)
    if not console.is_main_process():
        display = None
    handle = display and display.open(name, total, unit)
    try:
        with _stops(trainer, most) as stop:

            def advance(count: int = 1) -> None:
                if display is not None:
                    display.advance(handle, count)
                stop()

            yield advance
    finally:
        if display is not None:
            display.close(handle)


@contextmanager
def _stops(trainer: Trainer | None, most: int) -> Iterator[Callable[[], None]]:
    """What stops the run if that was asked for. Several ranks ask each other ``most`` times, however often each of them
    calls it: one that has less to do, or has failed and will say so after the block, answers the others at the end."""
    if getattr(trainer, "world_size", 1) == 1:
        yield signals.check_stop
        return
    left = iter(range(most))

    def stop() -> None:
        if next(left, None) is not None:
            stop_together(trainer)

    try:
        yield stop
    except UserError as error:
        if not (error.alone or error.lost):  # else nobody could answer
            with suppress(UserError):  # another rank has ended meanwhile; what this one has to say comes first
                _answer(trainer, left)
        raise
    _answer(trainer, left)


def _answer(trainer: Trainer, left: Iterator[int]) -> None:
    for _ in left:
        stop_together(trainer)
