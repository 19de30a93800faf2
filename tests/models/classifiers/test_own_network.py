"""The guide's network of one's own: found, trained shapes, exported, loaded by timm elsewhere; mistakes are told."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.models import _registry

from src.core.errors import UserError
from src.models.classifiers.check import network_problems
from src.models.classifiers.network import Network, register

GUIDE = Path(__file__).parents[3] / "src" / "README.md"
ELSEWHERE = """
import sys, torch, timm
sys.path.insert(0, sys.argv[1])
import my_nets
model = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
print(model(torch.ones(1, 3, 32, 32)).tolist())
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's; timm forgets its network afterwards."""
    register()
    for name, value in vars(_registry).items():
        if isinstance(value, dict | set):
            monkeypatch.setattr(_registry, name, copy.copy(value))
    text = re.search(r"^## A network.*?```python\n(.*?)```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "my_nets.py").write_text(text)
    return tmp_path / "my_nets.py"


def test_it_is_built_exported_and_loaded_without_this_project(file: Path, tmp_path: Path) -> None:
    network = Network(name=f"{file}:my_net", options={"width": 8})
    assert network.identity() == "my_net(width=8)" and network_problems(vars(network)) == []
    module = network.build(4, 3, 32).eval()
    network.export(tmp_path / "export", module, classes=list("abcd"), mean=[0.5] * 3, std=[0.2] * 3, size=32, method="",
                   command="", figures={})
    done = subprocess.run([sys.executable, "-P", "-c", ELSEWHERE, str(tmp_path / "export")], cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    with torch.no_grad():
        expected = module(torch.ones(1, 3, 32, 32)).tolist()
    assert eval(done.stdout)[0] == pytest.approx(expected[0], abs=1e-5)


def test_mistakes_are_told_before_anything_is_imported(file: Path) -> None:
    assert "there is no file nets.py" in network_problems({"name": "nets.py:my_net"})[0]
    assert "it registers my_net" in network_problems({"name": f"{file}:my_nat"})[0]
    file.write_text("def my_net(): ...")
    assert "write @register_model above" in network_problems({"name": f"{file}:my_net"})[0]


def test_a_file_that_breaks_is_told(file: Path) -> None:
    file.write_text(file.read_text() + "\nraise ImportError('no such thing')\n")
    for _ in range(2):
        with pytest.raises(UserError, match=r"my_net: its file cannot be imported .*no such thing"):
            Network(name=f"{file}:my_net").build(4, 3, 32)
