"""The simulated device refuses and counts what it should; asked in a process of its own, which it changes."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.processes import ROOT

START = "import torch; from tests.pretend.device import DEVICE, Factories, waits; Factories().__enter__(); "
WAITS = {
    "torch.ones(3, device=DEVICE).tolist()": "tolist",
    "bool(torch.ones(1, device=DEVICE) > 0)": "item",
    "torch.ones(3, device=DEVICE).cpu()": "_to_copy",
    "torch.zeros(3).copy_(torch.ones(3, device=DEVICE))": "copy_",
    "torch.ones(3, device=DEVICE)[torch.ones(3, device=DEVICE) > 0]": "mask",
    "torch.ones(3, device=DEVICE)[torch.tensor([0, 1])]": "host-index",
    "torch.ones(3, device=DEVICE).nonzero()": "nonzero",
    "torch.ones(3).to(DEVICE)": "upload",
    "torch.tensor([1.0], device=DEVICE)": "upload",
}
FREE = ["torch.ones(3).to(DEVICE, non_blocking=True)", "torch.rand(3, device=DEVICE) * torch.tensor(2.0)",
        "torch.arange(4, device=DEVICE)[torch.arange(2, device=DEVICE)] + 1"]
REFUSED = ["torch.ones(3, device=DEVICE) + torch.ones(3)", "torch.ones(3)[torch.arange(2, device=DEVICE)]",
           "torch.rand(3, device=DEVICE, generator=torch.Generator())", "torch.ones(3, device=DEVICE).numpy()",
           "torch.empty(3, device=DEVICE).normal_(generator=torch.Generator())"]


SUMS = ["x = torch.ones(2, 3, device=DEVICE); x.t().mul_(2)", "x = torch.ones(4, 3, device=DEVICE)",
        "y = torch.ones(2, 2, device=DEVICE, requires_grad=True); (y * 3).sum().backward(); x = y.grad"]


def test_waits_refusals_views_and_gradients() -> None:
    program = [START, "counts, refused, sums = {}, [], []"]
    for line in (*WAITS, *FREE):
        program += ["waits.clear()", line, f"counts[{line!r}] = [place.split()[1] for place in waits]"]
    for line in REFUSED:
        program += ["try:", f"    {line}", f"except (RuntimeError, TypeError): refused.append({line!r})"]
    for line in SUMS:
        program += [line, "sums.append(x.sum().item())"]
    program += ["import json; print(json.dumps([counts, refused, sums]))"]
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    counts, refused, sums = json.loads(done.stdout)
    assert {line: kinds[0] for line, kinds in counts.items() if kinds} == WAITS
    assert refused == REFUSED
    assert sums == [12.0] * 3
