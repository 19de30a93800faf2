"""Prompts to train on and prompts held out, from lists or files. Pure Python: the static check reads them too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from src.core.errors import UserError
from src.core.places import local_path


class PromptSet:
    """`train` and `heldout`, two lists of distinct prompts that share none."""

    def __init__(
        self,
        *,
        train: list[str] | str,  # prompts, or a file: a prompt a line (# starts a comment), or a JSON list
        heldout: list[str] | str | None = None,  # the same; null: nothing is held out
        name: str = "prompts",  # for the banner
    ) -> None:
        """Raises UserError for a file that is missing, empty or not text, and for prompts that are in both lists."""
        self.name = name
        given = [read_prompts(train, "data.train"), [] if heldout is None else read_prompts(heldout, "data.heldout")]
        self.train, self.heldout = (list(dict.fromkeys(prompts)) for prompts in given)
        self.repeated = sum(map(len, given)) - len(self.train) - len(self.heldout)
        _check_disjoint(self.train, self.heldout)

    def __repr__(self) -> str:
        left_out = f" (repetitions left out: {self.repeated})" if self.repeated else ""
        return f"{self.name}: {len(self.train)} to train, {len(self.heldout)} held out{left_out}"


def read_prompts(source: Sequence[str] | str, option: str) -> list[str]:
    """The prompts of a list or a file, in order. `option` names the source in UserErrors."""
    given = _from_file(source, option) if isinstance(source, str) else list(source)
    for prompt in given:
        if not isinstance(prompt, str):
            raise UserError(f"{option}: a list of prompts holds text only, not {prompt!r}", fix="put it in quotes")
    prompts = [prompt.strip() for prompt in given if prompt.strip()]
    if not prompts:
        where = f"={source}" if isinstance(source, str) else ""
        raise UserError(f"{option}{where}: there is no prompt in it", fix="write one prompt a line")
    return prompts


def _from_file(source: str, option: str) -> list[str]:
    path = local_path(source)
    if path is None:
        raise UserError(f"{option}={source}: there is no such file",
                        fix=f"give a file with one prompt a line, or a list: {option}='[a cat,a dog]'")
    text = _text(path, f"{option}={source}")
    if path.suffix.lower() != ".json":
        return [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    try:
        prompts = json.loads(text)
    except ValueError as error:
        raise UserError(f"{option}={source}: not JSON ({error})", fix='write a list: ["a cat", "a dog"]') from error
    if not isinstance(prompts, list):
        raise UserError(f"{option}={source}: its JSON is not a list", fix='write a list: ["a cat", "a dog"]')
    return prompts


def _text(path: Path, told: str) -> str:
    """The file as UTF-8 text."""
    if path.is_dir():
        raise UserError(f"{told}: this is a folder", fix="give a file with one prompt a line")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{told}: not text in UTF-8", fix="give a text file with one prompt a line") from error
    except OSError as error:
        raise UserError(f"{told}: cannot be read ({error.strerror})", fix="check the file's permissions") from error
    if "\0" in text:
        raise UserError(f"{told}: not text, it has zero bytes", fix="give a text file with one prompt a line")
    return text


def _check_disjoint(train: Sequence[str], heldout: Sequence[str]) -> None:
    if shared := sorted(set(train) & set(heldout)):
        raise UserError(f"data.heldout: {len(shared)} of its prompts are trained too, first {shared[0]!r}",
                        fix="take them out of one list, or hold nothing out with data.heldout=null")
