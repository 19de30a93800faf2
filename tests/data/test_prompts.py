"""Prompt lists and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.core.errors import UserError
from src.data.check import check
from src.data.prompts import PromptSet


def file(folder: Path, text: str | bytes, name: str = "prompts.txt") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def problems(**data) -> list[str]:
    return check({"data": {"_target_": "src.data.prompts.PromptSet", **data}})


def test_text_file(tmp_path: Path) -> None:
    train = file(tmp_path, "\ufeff# animals\na cat\r\n\n  a dog  \na cat\n  # no more\na sign that says #1\n")
    prompts = PromptSet(train=train, heldout=["ein grüner Baum"])
    assert prompts.train == ["a cat", "a dog", "a sign that says #1"] and prompts.heldout == ["ein grüner Baum"]
    assert repr(prompts) == "prompts: 3 to train, 1 held out (repetitions left out: 1)"
    assert repr(PromptSet(train=["a cat"])) == "prompts: 1 to train, 0 held out"
    assert problems(train=train, heldout=None) == []


def test_json_list(tmp_path: Path) -> None:
    given = ["a cat", "the dog", "a bird"]  # in their own order: a prompt's number decides its noise
    assert PromptSet(train=file(tmp_path, json.dumps(given), "p.json")).train == given


@pytest.mark.parametrize(("name", "content", "told"), [
    ("p.txt", "", "no prompt"),
    ("p.txt", "# only a comment\n\n", "no prompt"),
    ("p.txt", b"\x89PNG\r\n\xff\xfe", "UTF-8"),
    ("p.txt", b"a cat\0a dog", "zero bytes"),
    ("p.json", "[a cat]", "not JSON"),
    ("p.json", '{"a cat": 1}', "not a list"),
    ("p.json", "[1, 2]", "text only"),
    ("p.json", "[]", "no prompt"),
])
def test_files_that_are_no_prompts(tmp_path: Path, name: str, content: str | bytes, told: str) -> None:
    path = file(tmp_path, content, name)
    with pytest.raises(UserError, match=told):
        PromptSet(train=path)
    assert len(problems(train=path)) == 1 and told in problems(train=path)[0]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    told = problems(train=str(tmp_path / "nowhere.txt"), heldout=str(tmp_path))
    assert "data.train=" in told[0] and "no such file" in told[0]
    assert "data.heldout=" in told[1] and "folder" in told[1]


def test_held_out_prompts_are_not_trained() -> None:
    assert "'a cat'" in problems(train=["a cat", "a dog"], heldout=["a cat"])[0]


def test_other_data_is_left_alone() -> None:
    assert problems(train="???") == []  # Hydra's missing value is told elsewhere
    assert check({}) == check({"data": None}) == check({"data": {"_target_": "mine.Data", "train": "nowhere"}}) == []
