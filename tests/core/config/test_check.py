"""Annotations and signatures that are read as text."""

import ast
import importlib
import inspect
import os
import typing
from types import SimpleNamespace

import lightning.pytorch.callbacks
import lightning.pytorch.trainer.trainer
import pytest
import torch.optim
from lightning.fabric import connector

from src.core.config import annotation, arguments, signature, trainer_rules
from src.core.config.check import check, run_level, targets
from src.core.config.source import TargetError
from src.core.errors import Problems, UserError, nearest

FITS = [
    (1, "int"), (1, "float"), (1.5, "float"), (True, "bool"), ("a", "str"), (None, "None"), (None, "int | None"),
    ("a", "Literal['a', 'b']"), (2, "Literal[1, 2]"), ([1, 2], "list[int]"), ([1, 2], "tuple[int, int]"),
    ([1, 2, 3], "tuple[int, ...]"), ({"a": 1}, "dict[str, int]"), ("a/b", "Path"), ([0.5, 1], "Sequence[float]"),
    (None, "Optional[int]"), (3, "Union[str, int]"), ({"_target_": "x"}, "int"), ("x", "Something"), (1, "'int'"),
    ([[1], [2]], "list[list[int]]"), ("x", "pathlib.Path"), ([{"a": 1}], "list[dict[str, Any]]"),
    (1, "Callable[[], int]"),
]
MISFITS = [
    (True, "int"), (1, "bool"), ("1", "int"), (1.0, "int"), ("a", "float"), (True, "float"), (None, "str"), (1, "str"),
    ("c", "Literal['a', 'b']"), (True, "Literal[1, 2]"), ([1, "a"], "list[int]"), (1, "list[int]"),
    ([1], "tuple[int, int]"), ({"a": "b"}, "dict[str, int]"), ([1], "dict"), (1, "Path"), ("x", "int | None"),
    ("x", "Optional[int]"), ("abc", "Sequence[str]"), ("x", "'int'"),
]


@pytest.mark.parametrize(("value", "text"), FITS)
def test_values_that_fit(value, text):
    assert annotation.mismatch(value, ast.parse(text, mode="eval").body) is None


@pytest.mark.parametrize(("value", "text"), MISFITS)
def test_values_that_do_not_fit(value, text):
    assert annotation.mismatch(value, ast.parse(text, mode="eval").body).startswith("must be ")


def test_a_number_or_one_word():
    node = ast.parse("int | Literal['auto']", mode="eval").body
    assert annotation.mismatch("auto", node) is annotation.mismatch(3, node) is None
    assert annotation.mismatch("all", node) == "must be a whole number (int) or auto"


def test_missing_value():
    assert annotation.mismatch("???", ast.parse("int", mode="eval").body) == "needs a value"


@pytest.mark.parametrize(
    ("target", "real"),
    [("lightning.pytorch.trainer.trainer.Trainer", lightning.pytorch.trainer.trainer.Trainer),
     ("lightning.pytorch.callbacks.EarlyStopping", lightning.pytorch.callbacks.EarlyStopping),
     ("torch.optim.AdamW", torch.optim.AdamW), ("torch.optim.lr_scheduler.StepLR", torch.optim.lr_scheduler.StepLR)],
)
def test_signatures_read_from_source_equal_the_imported_ones(target, real):
    known = signature.read(target)
    expected = {name: item for name, item in inspect.signature(real.__init__).parameters.items() if name != "self"}
    assert set(known.arguments) == set(expected)
    required = {name for name, item in expected.items() if item.default is inspect.Parameter.empty}
    assert {name for name, item in known.arguments.items() if item.required} == required


@pytest.mark.parametrize(
    ("target", "text"),
    [("nowhere.x.Y", "is not installed"), ("src.core.nothing.X", "there is no module src.core.nothing"),
     ("src.core.errors.Nothing", "has no Nothing"), ("torch", "is not of the form package.module.Name")],
)
def test_targets_that_are_not_there(target, text):
    with pytest.raises(TargetError, match=text):
        signature.read(target)


def configuration(**method: object) -> dict:
    return {"seed": 0, "mode": "train", "name": None, "output_dir": "outputs", "run_dir": None, "resume": None,
            "ckpt": None, "prompts": None, "method": {"_target_": "tests.core.toy.Toy", **method}}


@pytest.mark.parametrize(("key", "fine", "wrong"), [
    ("seed", [0, 2**32 - 1], [-1, 2**32, True, 1.0]), ("jobs", [1, "auto"], [0, "many"]), ("mode", ["eval"], ["evl"]),
])
def test_which_values_the_keys_of_a_run_take(key, fine, wrong):
    whole = configuration() | dict.fromkeys(("card_gb", "jobs", "sweep_dir", "optimized_metric", "optimized_direction"))
    rows = [run_level({**whole, key: value}) for value in fine + wrong]
    assert [len(row) for row in rows] == [0] * len(fine) + [1] * len(wrong)


def test_rules_of_a_method_are_asked_and_join_the_list(tmp_path, monkeypatch):
    (tmp_path / "check.py").write_text("def check(cfg):\n    return [f'lr={cfg[\"method\"][\"lr\"]}: too large']\n")
    monkeypatch.setattr("src.core.config.check.rule_files", lambda cfg: [tmp_path / "check.py"])
    monkeypatch.setattr("src.core.config.check.ROOT", tmp_path.parent)
    monkeypatch.setattr("src.core.config.check.check_target", lambda *_: [])
    with pytest.raises(Problems) as caught:
        check(configuration(lr=9.0), earlier=["first"])
    assert caught.value.lines() == ["first", "lr=9.0: too large"]


def test_rules_that_break_on_wrong_values_do_not_hide_them(tmp_path, monkeypatch):
    (tmp_path / "check.py").write_text("def check(cfg):\n    return [1 / 0]\n")
    monkeypatch.setattr("src.core.config.check.rule_files", lambda cfg: [tmp_path / "check.py"])
    monkeypatch.setattr("src.core.config.check.load_rules", lambda file: SimpleNamespace(check=lambda cfg: [1 / 0]))
    with pytest.raises(Problems, match="must be a number"):
        check(configuration(lr="x"))
    with pytest.raises(ZeroDivisionError):
        check(configuration())


def test_same_fault_seen_through_an_interpolation_is_told_once():
    part = {"_target_": "src.core.csv_logger.CSVRows", "typo": 1}
    with pytest.raises(Problems) as caught:
        check({"model": part, **configuration(layers=part)})
    assert len(caught.value.lines()) == 1 and caught.value.lines()[0].startswith("model.typo=1")


def test_nested_targets_are_found_with_their_paths():
    node = {"a": {"_target_": "x"}, "b": [{"_target_": "y", "c": {"_target_": "z"}}]}
    assert [path for path, _ in targets(node)] == ["a", "b[0]", "b[0].c"]


def test_every_precision_of_lightning_is_known():
    known = [connector._PRECISION_INPUT_INT, connector._PRECISION_INPUT_STR, connector._PRECISION_INPUT_STR_ALIAS]
    assert {str(name) for kind in known for name in typing.get_args(kind)} == set(trainer_rules.PRECISIONS)


@pytest.mark.parametrize(("accelerator", "fine", "wrong"), [
    ("gpu", [1, -1, "auto", "2", "-1", [0, 2], "0,1"], [0, -2, "0", [], ["a"], "all"]),
    ("cpu", [1, 4, "2", "auto"], [0, -1, "-1", [0], "0,1", 4 * os.cpu_count() + 1]),
])
def test_devices(accelerator, fine, wrong):
    rows = [trainer_rules.problems({"accelerator": accelerator, "devices": value}) for value in fine + wrong]
    assert [len(row) for row in rows] == [0] * len(fine) + [1] * len(wrong)


def test_error_reads_value_rule_fix():
    assert str(UserError("s=30", "an interval has 1 to 20 steps", "set s=20")) == \
        "s=30: an interval has 1 to 20 steps. Set s=20"
    assert nearest("modle", ["mode", "model", "models"]) == "model"
    assert nearest("rewrad", ["reward", "model"]) == "reward" and nearest("zzz", ["reward"]) is None


def test_a_misspelt_word_of_a_list_is_answered_by_the_nearest():
    known = signature.read("src.methods.b2diffurl.module.B2DiffuRL")
    node = {"_target_": "src.methods.b2diffurl.module.B2DiffuRL", "_partial_": True, "selection": "refrence"}
    assert arguments.problems("method", node, known) == [
        "method.selection=refrence: must be one of reference, all, best_worst. Did you mean reference?"]


@pytest.mark.parametrize(("target", "name"), [
    ("src.methods.b2diffurl.module.B2DiffuRL", "normaliser"), ("src.methods.pskd.module.Classifier", "mixing"),
    ("src.rewards.clip.ClipReward", "dtype"), ("src.methods.b2diffurl.objectives.ddpo.DDPO", "weighting")])
def test_a_list_of_words_that_has_a_name_is_read_where_it_stands(target: str, name: str) -> None:
    module, _, kind = target.rpartition(".")
    hints = typing.get_type_hints(getattr(importlib.import_module(module), kind).__init__)
    known = signature.read(target).arguments[name].annotation
    assert annotation.words_of(known) == list(typing.get_args(hints[name]))


def test_names_that_another_package_gives_to_types_stay_names():
    known = signature.read("lightning.pytorch.trainer.trainer.Trainer").arguments["precision"].annotation
    assert annotation.words_of(known) == [] and "_PRECISION_INPUT" in ast.unparse(known)
