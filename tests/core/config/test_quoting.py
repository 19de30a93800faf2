"""What a run prints to be pasted arrives as it was meant, through the shell and through Hydra."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.core.config.quoting import text_of, typed
from src.core.runfolder import SWEEP_FILE, sweep_named

FOLDERS = {"outputs/runs/a_1": "resume=outputs/runs/a_1", "/with space": "'resume=/with space'",
           "/path, with comma": "\"resume='/path, with comma'\"", "/a=b": "\"resume='/a=b'\"", "12": "\"resume='12'\"",
           "/it's": None, "/a [b] {c}": None, '/"$HOME", `x`': None, "null": None}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_any_name_comes_back(folder):
    told = typed("resume", folder)
    assert FOLDERS[folder] in (None, told)
    (word,) = shlex.split(told)
    item = OverridesParser.create().parse_override(word)
    assert item.key_or_group == "resume" and item.value() == folder
    assert text_of(word.partition("=")[2]) == folder


def test_a_sweep_is_found_in_quotes(tmp_path: Path):
    folder = tmp_path / "a, b"
    folder.mkdir()
    (folder / SWEEP_FILE).write_text("{}")
    assert sweep_named(shlex.split(typed("resume", folder))) == folder


def test_a_run_with_such_a_name_says_how_to_go_on(toy, tmp_path, capsys):
    run = tmp_path / "a, b=c"
    words = shlex.split(typed("run_dir", run))
    assert toy(*words, "method.stop_at=8") == 143
    hint = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Continue with"))
    assert toy(*words) == 2
    assert typed("resume", run) in capsys.readouterr().err
    assert toy(*shlex.split(hint.partition("src.run ")[2]), "method.stop_at=8", "trainer.max_epochs=1") == 0
