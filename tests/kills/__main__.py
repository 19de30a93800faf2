"""``python -m tests.kills 50``: kill runs of both methods fifty times, continue them, compare with undisturbed ones."""

from __future__ import annotations

import argparse
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tests.kills.chain import Chain, Course, Kill

# debug=tiny with more epochs, so that a chain of kills has something to interrupt.
_TINY = ["debug=tiny", "logger=csv", "trainer=cpu"]
_PSKD = ["method=pskd", "data=emoji", *_TINY, "method.epochs=5", "trainer.max_epochs=5"]
COMMANDS = {
    "b2diffurl": ["method=b2diffurl", "reward=clip", *_TINY, "method.stages=4", "trainer.max_epochs=4",
                  "method.prompts_per_stage=2", "method.branches=2", "method.eval_prompts=2", "method.eval_every=2"],
    "pskd": _PSKD,
    "pskd_memmap": [*_PSKD, "method.loss.memory=memmap"],
}


def main() -> int:
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="kills-"))
    print(f"Runs and logs: {folder}")
    wrong = [name for name in options.methods.split(",") if not _killed(name, options, folder / name)]
    if wrong:
        print(f"Not exact: {', '.join(wrong)}; their runs are in {folder}")
    elif not options.folder:
        shutil.rmtree(folder)
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50, help="kills of each method")
    parser.add_argument("--methods", default="b2diffurl,pskd,pskd_memmap", help="some of b2diffurl,pskd,pskd_memmap")
    parser.add_argument("--each", type=int, default=5, help="kills of one run at most")
    parser.add_argument("--seed", type=int, default=0, help="of the times and places")
    parser.add_argument("--folder", help="where the runs are kept; without it they are removed if all is exact")
    return parser.parse_args()


def _killed(name: str, options: argparse.Namespace, folder: Path) -> bool:
    """Kill one method's runs; whether every one of them came out exact."""
    _undrawn()
    course = Course(COMMANDS[name], folder)
    course.warm_up()
    began, whole = time.monotonic(), course.whole()
    print(f"{name}: undisturbed {whole.seconds:.1f} s, {whole.changes} changes of files", flush=True)
    strikes, chains, kills = course.strikes(options.seed), [], 0
    while kills < options.kills:
        for item in course.chain(len(chains), strikes, min(options.each, options.kills - kills)):
            if isinstance(item, Kill):
                kills += 1
                print(f"  {kills:3d}  run {item.chain:2d}  {signal.Signals(item.signum).name:8s} in {item.place}",
                      flush=True)
            else:
                chains.append(item)
                _tell(item)
    exact = sum(len(chain.kills) for chain in chains if not chain.faults)
    print(f"{name}: {exact} of {kills} kills, in {len(chains)} runs, continued exactly "
          f"({time.monotonic() - began:.0f} s)", flush=True)
    return exact == kills and not any(chain.faults for chain in chains)


def _tell(chain: Chain) -> None:
    verdict = "DIFFERS" if chain.faults else "equal to the undisturbed run"
    print(f"       run {chain.number:2d}  {verdict}", flush=True)
    for line in chain.faults[:8]:
        print(f"         {line}", flush=True)


def _undrawn() -> None:
    """Plots take longer than all the rest of so small a run, and nothing is read from them."""
    from src.core.work import Work
    from src.methods.b2diffurl import evaluating
    from src.methods.pskd.module import Classifier

    Work.report = lambda work: None
    Classifier._draw = lambda module, scores: None
    evaluating.draw_sheet = lambda galleries, file: file


if __name__ == "__main__":
    raise SystemExit(main())
