"""Embeddings of many prompts rest on the host; the rows that a stage asks for are the same."""

from __future__ import annotations

import pytest
import torch

from src.methods.b2diffurl import embeddings
from src.methods.b2diffurl.embeddings import Embeddings
from src.models.sdxl import Conditions

CPU, PROMPTS = torch.device("cpu"), [f"prompt {number}" for number in range(10)]


def numbers(prompts: list[str]) -> torch.Tensor:
    """[P, 2, 3] that tell which prompt it was."""
    return torch.tensor([int(prompt.split()[1]) for prompt in prompts])[:, None, None].expand(-1, 2, 3).float()


def conditions(prompts: list[str]) -> Conditions:
    return Conditions(numbers(prompts), -numbers(prompts)[:, 0])


@pytest.mark.parametrize("most", [2**30, 0], ids=["on the device", "on the host"])
def test_rows_are_those_of_the_prompts(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(embeddings, "CHUNK", 4)
    monkeypatch.setattr(embeddings, "MOST", most)
    wanted, half = torch.tensor([7, 3, 3, 9]), torch.bfloat16
    plain, pooled = (Embeddings(encode, PROMPTS, device=CPU, dtype=half) for encode in (numbers, conditions))
    for table in (plain, pooled):
        assert len(table[torch.zeros(3, dtype=torch.long)]) == 3  # before anything is in use
        table.use(wanted)
        assert len(table.rows) == (10 if most else 4)  # one of them twice, and the first of all
    assert plain[wanted].dtype == half and plain[wanted][:, 0, 0].tolist() == [7, 3, 3, 9]
    assert pooled[wanted].tokens[:, 1, 2].tolist() == [7, 3, 3, 9]
    assert pooled[wanted].pooled[:, 0].tolist() == [-7, -3, -3, -9]
    assert plain[wanted[:0]].shape == (0, 2, 3)


def test_a_prompt_that_is_not_in_use_is_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "MOST", 0)
    table = Embeddings(numbers, PROMPTS, device=CPU, dtype=torch.float32)
    table.use(torch.tensor([5]))
    with pytest.raises(IndexError):
        table[torch.tensor([6])]


def test_a_stage_is_the_same_with_embeddings_on_the_host(loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loaded()
    monkeypatch.setattr(embeddings, "MOST", 0)
    parted = loaded()
    for module in (whole, parted):
        module.collect(stage=0)
    assert whole.embeddings.rests and not parted.embeddings.rests
    assert torch.equal(whole.kept.trajectory, parted.kept.trajectory)
