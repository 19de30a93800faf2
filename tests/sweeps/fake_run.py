"""Stands in for `python -m src.run`: a run without torch, which starts in no time. Its error is (log10(lr) + 2)^2."""

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

words = [word for word in sys.argv[1:] if "=" in word]
given = dict(word.split("=", 1) for word in words)
resumed = "resume" in given
folder = Path(given.get("resume") or given["hydra.run.dir"])
lasting = [word for word in words if not word.startswith(("hydra.", "resume="))]
if resumed:
    lasting = (folder / "overrides.txt").read_text().splitlines()
    given = dict(word.split("=", 1) for word in lasting)
folder.mkdir(parents=True, exist_ok=True)
(folder / "overrides.txt").write_text("\n".join(lasting) + "\n")
(folder / "starts.txt").open("a").write(f"{'resumed' if resumed else 'fresh'} {time.time()}\n")
content = {"method": "toy", "status": "running", "seconds": 1.5, "seed": int(given.get("seed", 0)), "mode": "train"}


def save(status: str, **more: float) -> None:
    content.update(status=status, **more)
    (folder / "metrics.json").write_text(json.dumps(content))


def stop(signum: int, _: object) -> None:
    save("interrupted")
    os._exit(128 + signum)


signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
save("running")
marks = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}
(folder / "env.json").write_text(json.dumps(marks))
if not (folder.parent / "mended").exists():
    time.sleep(float(given.get("method.delay", 0)))
if given.get("method.fail_at", "null") != "null" and not (folder.parent / "mended").exists():
    save("failed")
    print("warning: it looks bad\nerror: RuntimeError: the toy broke. The traceback is in error.log", file=sys.stderr)
    sys.exit(1)
(folder / "metrics.csv").write_text(f"step,val/loss\n1,9.0\n2,{float(given.get('method.lr', 0.1))}\n3,\n")
error = (math.log10(float(given.get("method.lr", 0.1))) + 2) ** 2 + content["seed"] / 100
save("finished", **{"eval/error_before": 1.0, "cost/queries": 3.0, "ended": time.time(), "eval/error_after": error})
