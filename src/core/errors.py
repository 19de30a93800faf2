"""Errors that the user can fix: the offending value, the rule, the fix."""

import difflib
import re
from collections.abc import Iterable, Sequence

BAD_INPUT = 2
FAILED_RUN = 1


class UserError(Exception):
    """Shown as one short message without a traceback.

    ``UserError("method.interval=30", "an interval has 1 to T = 20 steps", "set method.interval to 20 or less")``
    """

    shared = False  # raised on every rank of a run alike, so that one of them need not repeat it
    lost = False  # another rank has ended
    alone = False  # raised where the other ranks wait in a collective of their devices, so that none can be told

    def __init__(self, value: object, rule: str = "", fix: str = "", exit_code: int = BAD_INPUT) -> None:
        self.value, self.rule, self.fix, self.exit_code = str(value), rule, fix, exit_code
        super().__init__(describe(self.value, rule, fix))

    @property
    def words(self) -> tuple[str, str, str, int]:
        """What makes an equal error, in another process say."""
        return self.value, self.rule, self.fix, self.exit_code

    def lines(self) -> list[str]:
        """One line per problem, for the console."""
        return [str(self)]


class Problems(UserError):
    """Several user errors found in one go."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))

    def lines(self) -> list[str]:
        return self.problems


def describe(value: str, rule: str = "", fix: str = "") -> str:
    """Join value, rule and fix into one line: ``value: rule (fix)``."""
    text = f"{value}: {rule}" if rule else value
    return f"{text}. {fix[0].upper()}{fix[1:]}" if fix else text


def subject(line: str) -> str:
    """The key that a line made by ``describe`` is about: ``method.lr`` of ``+method.lr=inf: must be ...``."""
    return re.split(r"[=:\s]", line.lstrip("+~"), maxsplit=1)[0]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``name``, or None if none is close."""
    found = difflib.get_close_matches(name, list(known), n=5, cutoff=0.55)
    swapped = [match for match in found if sorted(match) == sorted(name)]  # modle: model, although mode is as near
    return next(iter(swapped + found), None)


def did_you_mean(name: str, known: Iterable[str], show_all: int = 20) -> str:
    """The fix for a misspelt name: the nearest one, or the list if it is short."""
    options = sorted(set(known))
    match = nearest(name, options)
    listing = f"valid: {', '.join(options)}" if 0 < len(options) <= show_all else ""
    if match:
        return f"did you mean {match}?" + (f" ({listing})" if listing else "")
    return listing or "there are no such options"
