"""The watch over the processes of the other ranks: who has ended is told, also where this process ends first."""

from __future__ import annotations

import subprocess

import pytest
from lightning.pytorch.strategies.launchers import subprocess_script

from src.core.processes import peers


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch):
    """Processes as ranks 1, 2, ... that are looked at once, and then never again before this one leaves."""
    monkeypatch.setattr(subprocess_script, "_launch_process_observer", None)
    monkeypatch.setattr(peers, "LOOK", 100.0)
    peers.replace_observer(lambda what: pytest.fail(what))
    children = [subprocess.Popen(["sleep", "100"]) for _ in range(2)]
    subprocess_script._launch_process_observer(children)
    yield children
    peers.leaving()
    for child in children:
        child.kill()
        child.wait()


def test_a_rank_that_was_killed_is_named_by_one_that_notices_it_sooner_in_a_collective(watched, capsys) -> None:
    watched[1].kill()
    peers.leaving()
    assert capsys.readouterr().err == "warning: the process of rank 2 was ended by SIGKILL\n"


def test_ranks_that_go_on_are_not_waited_for(watched, capsys) -> None:
    peers.leaving()
    assert capsys.readouterr().err == ""
    assert all(child.poll() is None for child in watched)
