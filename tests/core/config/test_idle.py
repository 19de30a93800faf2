"""Options that were typed but change nothing are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.core.config import plan

NOTHING = {
    "b2diffurl method.interval.values=[3,4]": "method.interval.values=[3,4] changes nothing: "
                                              "method.interval.shape=linear reads start and end",
    "b2diffurl method.selection=all method.positive_threshold=1": "method.positive_threshold=1 changes nothing: "
                                                                  "method.selection=all keeps",
    "b2diffurl method.normaliser=trunk method.history=5": "method.history=5 changes nothing: method.normaliser=trunk",
    "d3po method.advantage_clip=1": "method.advantage_clip=1 changes nothing: D3PO asks",
    "b2diffurl model.lora_rank=0 model.lora_alpha=8": "model.lora_alpha=8 changes nothing: model.lora_rank=0",
    "pskd method.lr_schedule=cosine method.milestones=[0.2]": "method.milestones=[0.2] changes nothing: "
                                                              "method.lr_schedule=cosine has no milestones",
    "pskd method.mixing_probability=0.3": "method.mixing_probability=0.3 changes nothing: method.mixing=none",
    "pskd method.optimizer=adamw method.nesterov=false": "method.nesterov=false changes nothing: it is SGD's",
    "pskd method.loss.top=3": "method.loss.top=3 changes nothing: it is of method.loss.memory=topk, this is table",
}
SOMETHING = ["b2diffurl method.interval.shape=list method.stages=2 method.interval.values=[3,4]",
             "d3po method.selection=all", "pskd method.milestones=[0.2]",
             "pskd method.mixing=cutmix method.mixing_probability=0.3",
             "pskd method.loss.memory=topk method.loss.top=3", "b2diffurl model.lora_alpha=8"]


def warned(words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    plan.make([*f"method={words}".split(), "trainer=cpu", f"run_dir={folder / 'run'}"])
    return [line for line in capsys.readouterr().err.splitlines() if "changes nothing" in line]


@pytest.mark.parametrize("words", NOTHING)
def test_an_option_that_is_not_read_is_told(words: str, tmp_path: Path, capsys) -> None:
    (line,) = warned(words, tmp_path, capsys)
    assert line.startswith(f"warning: {NOTHING[words]}")


@pytest.mark.parametrize("words", SOMETHING)
def test_one_that_is_read_is_not(words: str, tmp_path: Path, capsys) -> None:
    assert warned(words, tmp_path, capsys) == []


def test_pictures_in_memory_have_no_jitter(tmp_path: Path, capsys) -> None:
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(16):
            (tmp_path / name / f"{number}.png").touch()
    folder = f"data=imagefolder data.root={tmp_path} method.batch_size=4"
    (line,) = warned(f"pskd {folder} data.in_memory=true data.jitter=0.1 data.pad=2", tmp_path, capsys)
    assert line.startswith("warning: data.jitter=0.1 changes nothing: it is of pictures that are read anew")
    (line,) = warned(f"pskd {folder} data.jitter=0.1 data.pad=2", tmp_path, capsys)
    assert line.startswith("warning: data.pad=2 changes nothing: it is of pictures that are kept in memory")
