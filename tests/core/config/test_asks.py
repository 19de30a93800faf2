"""What a method asks for is read off its constructor, without importing it."""

from __future__ import annotations

from src.core.config import asks

CLASSIFIER = {"method": {"_target_": "src.methods.pskd.module.Classifier"}}


def test_arguments_and_their_classes() -> None:
    assert asks.takes(CLASSIFIER, "model") and not asks.takes(CLASSIFIER, "reward")
    assert asks.kind_of(CLASSIFIER, "model") == "Network" and asks.kind_of(CLASSIFIER, "reward") is None


def test_what_cannot_be_told_is_taken() -> None:
    for method in (None, {}, {"_target_": None}, {"_target_": "src.nowhere.Nothing"}, {"_target_": 3}):
        assert asks.takes({"method": method}, "reward") and asks.kind_of({"method": method}, "model") is None
