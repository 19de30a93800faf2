"""What is wrong with command lines, found as a run finds it, in one process for many of them."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Weights, files and networks are other tests' business: here only names, keys and types count.
SCRIPT = """
import json, sys
from src.core.config.check import check_target, run_level, targets
from src.core.config.compose import compose, plain
from src.core.errors import UserError

def problems(overrides):
    try:
        composed = compose(overrides)
        cfg = plain(composed.cfg)
    except UserError as error:
        return error.lines()
    found = [line for path, node in targets(cfg) for line in check_target(path, node)]
    return composed.problems + run_level(cfg) + found + ([] if list(targets(cfg)) else ["it names nothing"])

answers = [problems(overrides) for overrides in json.load(sys.stdin)]
print(json.dumps([answers, sorted({"torch", "lightning", "diffusers", "transformers", "wandb"} & set(sys.modules))]))
"""


def problems(command_lines: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """The problems of each list of overrides, and the heavy modules that were imported on the way."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=json.dumps(command_lines), cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, heavy = json.loads(done.stdout)
    return found, heavy
