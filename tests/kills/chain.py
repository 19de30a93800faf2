"""Runs that are killed again and again, and what they come to, against a run that was left alone."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from src.run import run
from tests.kills import victim
from tests.kills.outcome import differences, outcome
from tests.kills.victim import Ended, Strike

# Three kills in four are SIGKILL; the others are what a cluster or a person sends first.
SIGNALS = (signal.SIGKILL,) * 6 + (signal.SIGTERM, signal.SIGINT)


class Broken(Exception):
    """A run did not go on as it should."""


@dataclass(frozen=True)
class Kill:
    """One kill that hit: of which chain, where, by what."""

    chain: int
    place: str
    signum: int


@dataclass
class Chain:
    """One run from its first start to its end, with the kills in between and what is wrong about its outcome."""

    number: int
    kills: list[Kill] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Course:
    """A command line, run once undisturbed and then in chains below ``folder``. The same seed draws the same kills."""

    def __init__(self, arguments: list[str], folder: Path, prepare: Callable[[], None] = lambda: None) -> None:
        self.arguments, self.folder, self.prepare = arguments, folder, prepare

    def warm_up(self) -> None:
        """The run once in this process, so that those forked from it find everything imported."""
        torch.set_num_threads(1)
        victim.warm()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log("warm").open("w") as log, redirect_stdout(log), redirect_stderr(log):
            run([*self.arguments, f"output_dir={self.folder / 'warm'}"])

    def whole(self) -> Ended:
        """The undisturbed run; its outcome is what all others are compared with. Raises ``Broken`` if it fails."""
        ended = self._run("whole")
        if ended.code:
            raise Broken(f"the undisturbed run failed: {self.log('whole').read_text()[-2000:]}")
        self.expected, self.measured = self.outcome("whole"), ended
        return ended

    def chain(self, number: int, strikes: Iterator[Strike], most: int) -> Iterator[Kill | Chain]:
        """Yields each kill, then the chain: after `most` kills, or when a strike comes too late, the run ends."""
        chain, name = Chain(number), f"chain_{number:02d}"
        ended = None
        while len(chain.kills) < most:
            strike = next(strikes)
            ended = self._run(name, strike)
            if ended.code == 0:
                break
            if ended.code not in (-strike.signum, 128 + strike.signum):
                chain.faults.append(f"ended with {ended.code} {ended.place}, see {self.log(name)}")
                break
            chain.kills.append(Kill(number, ended.place, strike.signum))
            yield chain.kills[-1]
            ended = None
        if ended is None and (ended := self._run(name)).code:
            chain.faults.append(f"could not go on: {ended.code} {ended.place}, see {self.log(name)}")
        chain.faults += [] if chain.faults else differences(self.outcome(name), self.expected)
        yield chain

    def strikes(self, seed: int) -> Iterator[Strike]:
        """Half of them at a time within the measured duration, half before one of the measured changes of a file."""
        draw = random.Random(seed)
        while True:
            yield Strike(seconds=draw.uniform(0, self.measured.seconds), signum=draw.choice(SIGNALS))
            yield Strike(change=draw.randint(1, self.measured.changes))

    def outcome(self, name: str) -> dict[str, Any]:
        """Of the only run below a name; a folder without overrides.txt is of a run killed before it was one."""
        runs = [path for path in (self.folder / name / "runs").iterdir() if (path / "overrides.txt").is_file()]
        if len(runs) != 1:
            return {"run folders": sorted(path.name for path in runs)}
        return outcome(runs[0])

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _run(self, name: str, strike: Strike = victim.NONE) -> Ended:
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / name
        return victim.run([*self.arguments, "resume=auto", f"output_dir={place}"], place, self.log(name), strike,
                          self.prepare)
