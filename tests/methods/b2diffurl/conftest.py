"""B2-DiffuRL on the stand-in model, without and with the run around it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, Trainer

from src.methods.b2diffurl.module import B2DiffuRL
from src.run import run
from tests.methods.b2diffurl.rewards import Judge, Redness

CONF = Path(__file__).parent / "conf"
OPTIONS: dict[str, Any] = {
    "stages": 1, "prompts_per_stage": 2, "branches": 3, "steps": 4, "interval": {"shape": "constant", "start": 3},
    "eta": 1.0, "shared_trunk": True, "guidance_scale": 3.0, "guidance_rescale": 0.0, "normaliser": "trunk",
    "history": 2, "std_floor": 0.05, "min_count": 1, "selection": "all",
    "positive_threshold": 0.5, "negative_threshold": -0.5, "advantage_clip": 5.0, "positive_weight": 1.0,
    "negative_weight": 1.0, "inner_epochs": 1, "samples_per_update": 4, "micro_batch": 4, "rollout_batch": 64,
    "replay": "never", "compile": False, "lr": 1e-3, "lr_schedule": "constant", "betas": (0.9, 0.999),
    "weight_decay": 1e-4, "grad_clip": None, "eval_every": 9, "eval_prompts": 2, "eval_images": 2, "curve_images": 2,
}
MODEL_OPTIONS = ("dtype", "lora_rank", "gradient_checkpointing")
Make = Callable[..., B2DiffuRL]


def built(folder: Path, run_dir: Path, *, objective: Any = None, kind: Any = None, **options: Any) -> B2DiffuRL:
    """The method on the stand-in in `folder`; options are those of conf/method, and `dtype` and the like of the model,
    which is `kind`, or else a DiffusionModel."""
    from src.data.prompts import PromptSet
    from src.methods.b2diffurl.objectives.ddpo import DDPO
    from src.models.diffusion import DiffusionModel

    own = {key: options.pop(key) for key in MODEL_OPTIONS if key in options}
    model = (kind or DiffusionModel)(name="standin", path=str(folder), **own)
    prompts = PromptSet(train=["a red cat", "a dog", "a red dog"], heldout=["a cat", "two red dogs"])
    module = B2DiffuRL(model=model, prompts=prompts, reward=Redness(), scorers={"judge": Judge(name="judge")},
                       objective=objective or DDPO(), **OPTIONS | {"measures": {}} | options)
    module.run_dir = run_dir
    return module


@pytest.fixture
def make(sd_folder: Path, tmp_path: Path) -> Make:
    """`built` in this test's folder."""
    return lambda *, folder=sd_folder, **options: built(folder, tmp_path, **options)


def trainer_for(module: B2DiffuRL, *callbacks: Callback, devices: int = 1, strategy: Any = "auto") -> Trainer:
    """A trainer as core builds it, without its files."""
    return Trainer(accelerator="cpu", devices=devices, strategy=strategy, max_epochs=module.stages, logger=False,
                   check_val_every_n_epoch=module.eval_every, num_sanity_val_steps=0, enable_checkpointing=False,
                   enable_progress_bar=False, inference_mode=False, enable_model_summary=False,
                   callbacks=list(callbacks), default_root_dir=module.run_dir)


def fit(module: B2DiffuRL, *callbacks: Callback) -> dict[str, float]:
    """Trains, and returns the last stage's figures."""
    trainer = trainer_for(module, *callbacks)
    trainer.fit(module)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.fixture
def loaded(make: Make) -> Make:
    """As `make`, with weights and a trainer, but no training."""

    def build(**options: Any) -> B2DiffuRL:
        module = make(**options)
        module.trainer = trainer_for(module)
        module.configure_model()
        return module

    return build


class Runner:
    """Runs command lines as `python -m src.run` does, in this process."""

    def __init__(self, model: Path, output: Path) -> None:
        self.model, self.output = model, output

    def __call__(self, *overrides: str) -> int:
        fixed = ["experiment=standin", f"model.path={self.model}", f"output_dir={self.output}"]
        return run(["--config-dir", str(CONF), *fixed, *overrides])

    @property
    def folder(self) -> Path:
        """The newest run folder."""
        return (self.output / "latest").resolve()


def summary(folder: Path) -> dict[str, Any]:
    """metrics.json of a run."""
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def runner(sd_folder: Path, tmp_path: Path) -> Runner:
    return Runner(sd_folder, tmp_path / "outputs")
