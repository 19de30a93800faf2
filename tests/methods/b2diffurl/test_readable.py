"""Prompts that a verifier cannot read are told before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from src.methods.b2diffurl.checks.readable import problems

VERIFIER = {"_target_": "src.rewards.verifier.VerifierReward"}
DIVERSITY = {"_target_": "src.methods.b2diffurl.measures.verifier.VerifierDiversity"}
CLIP = {"_target_": "src.rewards.clip.ClipReward"}


def prompts(*words: str, heldout: list[str] | None = None) -> dict[str, Any]:
    return {"_target_": "src.data.prompts.PromptSet", "train": list(words), "heldout": heldout}


SHAPES, ANIMALS = prompts("a red circle above a blue square"), prompts("a red circle left of a blue square", "a dog")


@pytest.mark.parametrize(("cfg", "told"), [
    ({"scorers": {"clip": CLIP, "verifier": VERIFIER}}, "Leave it out: ~scorers.verifier"),
    ({"reward": VERIFIER, "scorers": {"verifier": VERIFIER}}, "~scorers.verifier and take another reward"),
    ({"measures": {"verifier": DIVERSITY}, "mode": "protocol"}, "~measures.verifier"),
])
def test_the_prompt_and_what_to_leave_out_are_named(cfg: dict[str, Any], told: str) -> None:
    (found,) = problems({"data": ANIMALS, **cfg})
    assert found.startswith("data: 'a dog': the verifier (") and told in found
    assert problems({"data": SHAPES, **cfg}) == []


def test_held_out_prompts_are_read_too_and_measures_in_the_protocol_alone() -> None:
    held = prompts("a red circle above a blue square", heldout=["two cats"])
    assert problems({"data": held, "scorers": {"verifier": VERIFIER}})[0].startswith("data: 'two cats'")
    assert problems({"data": ANIMALS, "scorers": {"clip": CLIP}, "measures": {"verifier": DIVERSITY}}) == []
    assert problems({"data": {"_target_": "src.data.prompts.PromptSet", "train": "nowhere.txt"},
                     "scorers": {"verifier": VERIFIER}}) == []
