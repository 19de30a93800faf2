"""Contradictions among a classifier's options: each is found before anything is loaded, named, and has a way out."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from src.core.config import plan
from src.core.errors import Problems, UserError
from src.methods.pskd.check import LOSS, METHOD, check
from src.methods.pskd.keeping import Keeping
from src.methods.pskd.module import Classifier

GOOD = {
    "model": {"_target_": "src.models.classifiers.network.Network"},
    "data": {"_target_": "src.data.images.emoji.pictures.Emoji"},
    "loss": {"_target_": "src.methods.pskd.losses.pskd.PSKD", "alpha": 0.8, "memory": "table", "top": 10},
    "epochs": 300, "milestones": [0.5, 0.75], "mixing": "none", "mixing_probability": 0.5, "nesterov": True,
    "momentum": 0.9,
}


def messages(loss: dict | None = None, top: dict | None = None, **changes) -> list[str]:
    method = {**GOOD, **changes, "loss": {**GOOD["loss"], **(loss or {})}}
    return check({"mode": "train", "trainer": {"max_epochs": method["epochs"]}, "method": method, **(top or {})})


def test_the_papers_values_are_fine() -> None:
    assert messages() == []


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_lies_between_0_and_1(alpha: float) -> None:
    (found,) = messages(loss={"alpha": alpha})
    assert found.startswith(f"method.loss.alpha={alpha}: must be at least 0 and at most 1")


@pytest.mark.parametrize("name", METHOD)
def test_every_number_of_the_method_has_a_least_value(name: str) -> None:
    assert any(f"method.{name}=-1" in text for text in messages(**{name: -1}))


@pytest.mark.parametrize("name", LOSS)
def test_every_number_of_the_loss_has_a_least_value(name: str) -> None:
    assert any(f"method.loss.{name}=-1" in text for text in messages(loss={name: -1}))


@pytest.mark.parametrize(("expected", "arguments"), [
    ("memory=table", {"mixing": "cutmix", "mixing_probability": 1}),
    ("CS-KD compares", {"mixing": "mixup", "loss": {"_target_": "src.methods.pskd.losses.cskd.CSKD", "memory": None}}),
    ("method.milestones", {"milestones": [0.75, 0.5]}), ("method.milestones", {"milestones": [150, 225]}),
    ("trainer.max_epochs=9", {"top": {"trainer": {"max_epochs": 9}}}), ("mode=sample", {"top": {"mode": "sample"}}),
    ("data=shape_prompts: ", {"data": {"_target_": "src.data.shape_prompts.ShapePrompts"}}),
    ("model=none: ", {"model": {}}),
    ("method.compile=graphs", {"compile": "graphs", "top": {"trainer": {"accelerator": "cpu"}}}),
    ("accumulate_grad_batches=2", {"compile": "graphs", "top": {"trainer": {"accumulate_grad_batches": 2}}}),
    ("trainer.precision=bf16-true", {"top": {"trainer": {"precision": "bf16-true"}}}),
    ("method.nesterov=true", {"momentum": 0}), ("method.nesterov=true", {"momentum": 0, "optimizer": "sgd"}),
])
def test_contradictions_are_named(expected: str, arguments: dict) -> None:
    (found,) = messages(**arguments)
    assert expected in found


@pytest.mark.parametrize(("expected", "trainer", "changes"), [
    ("method.warmup_epochs=20: must be below method.epochs=2. ", {}, {"warmup_epochs": 20, "epochs": 2}),
    ("method.warmup_epochs=2: must be below method.epochs=2. ", {}, {"warmup_epochs": 2, "epochs": 2}),
    ("trainer.max_steps=3: the schedules run over method.epochs=300. ", {"max_steps": 3}, {}),
    ("trainer.max_time=00:01:00:00: the schedules run over method.epochs=300, ", {"max_time": "00:01:00:00"}, {}),
    ("trainer.limit_train_batches=0: nothing would be trained. ", {"limit_train_batches": 0}, {}),
    ("", {"max_steps": -1, "limit_train_batches": 2}, {"warmup_epochs": 1.5, "epochs": 2}),
])
def test_a_training_that_schedules_do_not_fit_is_refused(expected: str, trainer: dict, changes: dict) -> None:
    assert "".join(messages(top={"trainer": trainer}, **changes)).startswith(expected) and (
        len(messages(top={"trainer": trainer}, **changes)) == bool(expected))
    assert messages(top={"trainer": trainer, "mode": "eval"}, **changes) == []


def test_adamw_asks_nothing_of_momentum_and_other_words_are_refused() -> None:
    assert messages(optimizer="adamw", momentum=0) == []
    with pytest.raises(Problems) as caught:
        plan.check_only(["method=pskd", "method.optimizer=adam"])
    assert caught.value.problems == ["method.optimizer=adam: must be one of sgd, adamw. Did you mean adamw?"]


def test_a_snapshot_serves_mixed_pictures_of_every_batch() -> None:
    assert messages(mixing="cutmix", mixing_probability=1, loss={"memory": "snapshot"}) == []


def test_values_of_a_wrong_type_are_left_to_the_type_check() -> None:
    assert messages(lr="fast", epochs=300, milestones="late", loss={"alpha": "much"}) == []


@pytest.mark.parametrize(("given", "told"), [
    ("reward=clip", "reward=clip: a classifier trains on labels, it asks no reward. Leave it out, or take method=b2d"),
    ("reward=jpeg_compressibility", "reward=jpeg_compressibility: "), ("objective=dpok", "objective=dpok: "),
    ("scorers=laion", "scorers (clip_vit_b32_laion): "), ("measures=tiny_sd", "measures (clip, verifier, kl): "),
    ("model=sd15", "model=sd15: a classifier is trained here, and this is no network that classifies"),
    ("data=animals", "data=animals: a classifier is trained here"),
])
def test_what_a_classifier_has_no_use_for_is_told_alone(given: str, told: str) -> None:
    with pytest.raises(Problems) as caught:
        plan.check_only(["method=pskd", given])
    (found,) = caught.value.problems
    assert found.startswith(told)


@pytest.mark.parametrize("method", ["pskd", "crossentropy", "crossentropy_scaled", "label_smoothing", "cskd", "tfkd"])
def test_a_classifiers_own_defaults_have_nothing_to_refuse(method: str) -> None:
    plan.check_only([f"method={method}"])


def test_weights_are_not_shared_among_devices() -> None:
    fsdp = {"strategy": {"_target_": "src.core.processes.sharding.ShardedStrategy"}, "max_epochs": GOOD["epochs"]}
    (found,) = messages(top={"trainer": fsdp})
    assert found.startswith("trainer=fsdp: ") and found.endswith("Use trainer=gpu")


@pytest.mark.parametrize(("trainer", "devices", "fits"), [
    ({}, 1, ""), ({"devices": 8}, 8, ""), ({"devices": "auto"}, None, ""), ({"devices": 4, "num_nodes": 2}, 8, ""),
    ({"devices": 3}, 3, "126 or 129"), ({"devices": "3", "num_nodes": 2}, 6, "126 or 132"),
])
def test_devices_share_a_batch_equally(trainer: dict, devices: int | None, fits: str) -> None:
    told = f"method.batch_size=128 on {devices} devices: it is the total of all devices, which share it equally, two " \
           f"pictures or more each. Set it to {fits}"
    assert messages(batch_size=128, top={"trainer": trainer}) == ([told] if fits else [])
    assert messages(batch_size=128, top={"trainer": trainer, "mode": "eval"}) == []


def test_devices_that_were_not_counted_share_a_batch_equally_too() -> None:
    module = SimpleNamespace(batch_size=128, trainer=SimpleNamespace(world_size=3))
    with pytest.raises(UserError, match=r"Set it to 126 or 129"):
        Classifier.setup(module, "fit")
    Classifier.setup(module, "test")


def test_the_banner_says_what_a_device_gets_of_a_batch() -> None:
    module = SimpleNamespace(batch_size=256, trainer=SimpleNamespace(world_size=8))
    assert Keeping._batch(module) == "256 pictures a batch (32 on each of 8 devices)"
    module.trainer.world_size = 1
    assert Keeping._batch(module) == "256 pictures a batch"


def test_statistics_that_the_weights_do_not_expect_are_told_before_training(capsys) -> None:
    network = SimpleNamespace(other_statistics=lambda module, mean, std: f"{module} expects others than {mean}, {std}")
    module = SimpleNamespace(model=network, network="vit", data=SimpleNamespace(mean=[1], std=[2]), trainer=MagicMock(),
                             loss=MagicMock(), _context=MagicMock(), restore_loss=MagicMock(), ema_decay=None)
    Classifier.on_fit_start(module)
    assert capsys.readouterr().err == "warning: vit expects others than [1], [2]\n"
    network.other_statistics = lambda *_: None
    Classifier.on_fit_start(module)
    assert capsys.readouterr().err == ""
    module.ema_decay, module.epochs, module.steps_an_epoch = 0.9999, 10, 3
    Classifier.on_fit_start(module)
    assert capsys.readouterr().err.startswith("warning: method.ema_decay=0.9999: after 30 steps 100% of the averaged")


def test_a_teacher_that_is_not_there_is_told(tmp_path) -> None:
    (found,) = messages(loss={"_target_": "src.methods.pskd.losses.tfkd.TFKD", "teacher": str(tmp_path / "run")})
    assert found.startswith(f"method.loss.teacher={tmp_path / 'run'}: there is no such file or run folder")
    latest = {"_target_": "src.methods.pskd.losses.tfkd.TFKD", "teacher": "latest", "output_dir": str(tmp_path)}
    assert "there is no such file or run folder" in messages(loss=latest)[0]
    assert messages(loss=latest, top={"mode": "eval"}) == []
