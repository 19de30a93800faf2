"""Contradictions among the method's options: each is found, named, and comes with a way out."""

import subprocess
import sys

import pytest

from src.methods.b2diffurl.check import RANGES, check

GOOD = {
    "stages": 100,
    "prompts_per_stage": 256,
    "branches": 5,
    "steps": 20,
    "interval": {"shape": "linear", "start": 14, "end": 20, "values": None},
    "normaliser": "prompt",
    "history": 8,
    "std_floor": 0.05,
    "selection": "reference",
    "positive_threshold": 0.5,
    "negative_threshold": -0.5,
    "advantage_clip": 5.0,
    "positive_weight": 1.0,
    "negative_weight": 1.0,
    "inner_epochs": 2,
    "samples_per_update": 128,
    "micro_batch": 8,
    "rollout_batch": 64,
    "guidance_scale": 5.0,
    "guidance_rescale": 0.0,
    "eta": 1.0,
    "lr": 1e-4,
    "weight_decay": 1e-4,
    "grad_clip": 1.0,
    "eval_every": 10,
    "objective": {"clip_range": 0.1},
}
PLAIN = {"branches": 1, "interval": {"shape": "constant", "start": None}, "selection": "all", "normaliser": "global"}


def messages(**changes):
    return check({"method": GOOD | changes})


@pytest.mark.parametrize("changes", [{}, PLAIN, {"grad_clip": None, "advantage_clip": None, "betas": [0.9, 0.999]}])
def test_sound_options_pass(changes):
    assert messages(**changes) == []


def test_an_empty_or_foreign_method_passes():
    assert check({}) == check({"method": None}) == check({"method": {"lr": "abc", "interval": 3}}) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interval": {"shape": "linear", "start": 3, "end": 21}}, ["method.interval.end=21", "20 denoising steps"]),
        ({"guidance_rescale": 1.5}, ["method.guidance_rescale=1.5", "at most 1"]),
        ({"guidance_rescale": 0.7, "guidance_scale": 1.0}, ["method.guidance_scale=1.0", "no guidance to rescale"]),
        ({"interval": {"shape": "constant", "start": 0}}, ["method.interval.start=0", "at least one"]),
        ({"interval": {"shape": "list", "values": [3, 4]}}, ["2 entries", "100 stages", "stepped"]),
        ({"interval": {"shape": "constant", "strat": 3}}, ["method.interval.strat", "Did you mean start?"]),
        ({"branches": 1, "normaliser": "trunk"}, ["method.branches=1", "method.normaliser=prompt"]),
        ({"branches": 1, "normaliser": "trunk_center"}, ["method.normaliser=trunk_center", "2 or more"]),
        ({"branches": 1, "prompts_per_stage": 1, "history": 0}, ["method.history=0", "Raise any of the three"]),
        ({"negative_threshold": 0.6}, ["negative_threshold=0.6", "positive_threshold=0.5", "-0.5 and 0.5"]),
        (
            {"normaliser": "trunk", "branches": 2, "positive_threshold": 1.5, "negative_threshold": -1.5},
            ["positive_threshold=1.5", "+-1.00", "add branches"],
        ),
        ({"positive_weight": 0, "negative_weight": 0}, ["nothing would train"]),
        ({"objective": {"clip_range": 0.0}}, ["objective.clip_range=0.0", "above 0 and below 1"]),
        ({"prompts_per_stage": 0}, ["method.prompts_per_stage=0", "at least 1"]),
        ({"samples_per_update": 0}, ["method.samples_per_update=0", "at least 1"]),
        ({"micro_batch": 0}, ["method.micro_batch=0", "at least 1"]),
        ({"rollout_batch": 0}, ["method.rollout_batch=0", "at least 1"]),
        ({"eval_images": 0}, ["method.eval_images=0", "at least 1"]),
        ({"betas": [0.9, 1.0]}, ["method.betas=[0.9, 1.0]", "0.999"]),
        ({"lr": -1e-4}, ["method.lr=-0.0001", "above 0"]),
        ({"lr": float("nan")}, ["method.lr=nan", "above 0"]),
        ({"eta": 0}, ["method.eta=0", "above 0"]),
        ({"eta": 1.5}, ["method.eta=1.5", "at most 1"]),
        ({"grad_clip": 0.0}, ["method.grad_clip=0.0", "Null is no clip"]),
        ({"steps": 0}, ["method.steps=0", "at least 1"]),
        ({"stages": -1}, ["method.stages=-1", "at least 1"]),
        ({"history": -1}, ["method.history=-1", "at least 0"]),
        ({"prompts": {}}, ["data=none", "Choose data="]),
        ({"objective": None}, ["objective=none"]),
        ({"objective": {"kl_weight": -0.1}}, ["objective.kl_weight=-0.1", "at least 0"]),
        ({"objective": {"_target_": "a.D3PO", "beta": 0}}, ["objective.beta=0", "above 0"]),
        ({"objective": {"_target_": "a.D3PO"}, "branches": 1}, ["method.branches=1", "no sibling", "method=d3po"]),
        ({"objective": {"_target_": "a.D3PO"}, "micro_batch": 7}, ["method.micro_batch=7", "even", "Take 8"]),
        ({"objective": {"_target_": "a.D3PO"}, "samples_per_update": 1}, ["samples_per_update=1", "Take 2"]),
        ({"objective": {"_target_": "a.D3PO"}, "model": {"lora_rank": 0}}, ["lora_rank=0", "no pretrained policy"]),
        ({"objective": {"kl_weight": 0.1}, "model": {"lora_rank": 0}}, ["lora_rank=0", "objective.kl_weight=0"]),
        ({"model": {"_target_": "src.models.classifiers.Network", "name": "a"}}, ["model=a", "classifier", "pskd"]),
    ],
)
def test_each_contradiction_gives_one_message_with_value_rule_and_fix(changes, words):
    found = messages(**changes)
    assert len(found) == 1, found
    assert all(word in found[0] for word in words), found


@pytest.mark.parametrize(("trainer", "words"), [
    ({"strategy": "fsdp"}, ["trainer.strategy=fsdp", "trainer=gpu", "trainer=fsdp"]),
    ({"strategy": "ddp", "devices": 4, "num_nodes": 2}, ["method.prompts_per_stage=6 on 8 devices", "fewer devices"]),
])
def test_what_several_devices_need(trainer, words):
    (found,) = check({"method": {"prompts_per_stage": 6}, "trainer": trainer})
    assert all(word in found for word in words), found
    assert not check({"method": {"prompts_per_stage": 8}, "trainer": {"strategy": "auto", "devices": 8}})


@pytest.mark.parametrize(("trainer", "words"), [
    ({"max_epochs": 5}, ["trainer.max_epochs=5", "method.stages=3", "Set method.stages=5"]),
    ({"limit_val_batches": 2}, ["trainer.limit_val_batches=2", "method.eval_prompts"]),
    ({"limit_test_batches": 0}, ["trainer.limit_test_batches=0", "as a whole"]),
    ({"limit_test_batches": 1}, ["trainer.limit_test_batches=1", "as a whole"]),
    ({"max_epochs": 3, "limit_val_batches": None, "limit_test_batches": 1.0}, []),
])
def test_a_training_has_its_stages_and_an_evaluation_all_its_pictures(trainer, words):
    found = check({"method": {"stages": 3}, "trainer": trainer})
    assert len(found) == bool(words) and all(word in found[0] for word in words), found


@pytest.mark.parametrize(("trainer", "words"), [
    ({"accumulate_grad_batches": 4}, ["trainer.accumulate_grad_batches=4", "method.samples_per_update"]),
    ({"gradient_clip_val": 0.5}, ["trainer.gradient_clip_val=0.5", "set method.grad_clip=0.5"]),
    ({"accumulate_grad_batches": 1, "gradient_clip_val": None}, []),
])
def test_what_lightning_refuses_of_a_method_that_optimises_by_hand(trainer, words):
    found = check({"method": GOOD, "trainer": trainer})
    assert len(found) == bool(words) and all(word in found[0] for word in words), found


@pytest.mark.parametrize(("changes", "words"), [
    ({"model": {"lora_rank": 4}}, ["trainer=fsdp with model.lora_rank=4", "model.lora_rank=0"]),
    ({"compile": True}, ["method.compile=true", "method.compile=false"]),
    ({"mode": "sample"}, ["mode=sample", "trainer=gpu"]),
    ({"mode": "protocol"}, ["mode=protocol", "trainer=gpu"]),
    ({}, []),
])
def test_what_shared_weights_allow(changes, words):
    method = {"prompts_per_stage": 6, "model": {"lora_rank": 0}} | changes
    mode = method.pop("mode", "train")
    trainer = {"strategy": {"_target_": "src.core.processes.sharding.ShardedStrategy"}}
    found = check({"mode": mode, "method": method, "trainer": trainer})
    assert len(found) == bool(words) and all(word in found[0] for word in words), found


def test_all_are_reported_at_once():
    assert len(messages(lr=-1, branches=1, normaliser="trunk", micro_batch=0, negative_threshold=2)) == 4


def test_without_a_reference_the_whole_unet_may_be_trained():
    assert messages(model={"lora_rank": 0}, objective={"_target_": "a.GRPO", "kl_weight": 0.0}) == []


def test_thresholds_matter_only_where_they_are_used():
    assert messages(selection="all", negative_threshold=0.6) == []
    assert messages(normaliser="trunk", positive_threshold=3.0) == []  # the worst branch still trains


@pytest.mark.parametrize("name", RANGES)
def test_values_of_a_wrong_type_are_left_to_the_type_check(name):
    assert messages(**{name: "abc"}) == []


def test_nothing_heavy_is_imported():
    heavy = "{'torch', 'diffusers', 'lightning'} & set(sys.modules)"
    code = f"import sys, src.methods.b2diffurl.check; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
