"""The phases of a run: evaluate, train, evaluate again, export, report; or evaluate only; or draw samples."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.model_helpers import is_overridden

from src.core import atomic, checkpoint, comparable, console, devices, keeping, signals
from src.core.build import build
from src.core.callbacks import RunState, seed_everything
from src.core.config.plan import Plan
from src.core.errors import UserError
from src.core.processes import rendezvous, tasks
from src.core.progress import ConsoleProgress
from src.core.results import EVALUATED_AS, Results, read
from src.core.runfolder import short
from src.core.states import State


class Work:
    """The objects of one run and what is done with them."""

    def __init__(self, plan: Plan, results: Results) -> None:
        self.plan, self.results = plan, results
        self.mode: str = plan.cfg["mode"]
        self.loggers: list[Logger] = []
        devices.refuse_missing(plan.cfg["trainer"])
        seed_everything(plan.cfg["seed"], epoch=-1)
        self.module: LightningModule = build(plan.cfg["method"])
        self.module.run_dir, self.module.seed = plan.folder, plan.cfg["seed"]
        # asked once, before anything is loaded: what is loaded may tell more about itself later
        self._evaluated_as: dict[str, Any] = getattr(self.module, "evaluated_as", dict)()
        if plan.resumed:
            comparable.check_before_and_after(read(plan.folder).get(EVALUATED_AS, {}), self._evaluated_as)
        self.first_epoch = self._inspect_checkpoint()
        self.states = self._inspect_states()
        self.state = RunState(plan.cfg["seed"], self.first_epoch, results)

    def prepare(self) -> None:
        """Build what writes into the run folder: loggers and trainer, which the banner's words are about too."""
        self.trainer = self.module.trainer = self._trainer()

    @property
    def began(self) -> bool:
        """Whether training has begun, so that the folder holds something worth keeping."""
        return self.state.training_began

    def run(self) -> None:
        """Carry out the mode."""
        self._banner()
        {"train": self.train, "eval": self.evaluate, "sample": self.sample, "protocol": self.protocol}[self.mode]()

    def train(self) -> None:
        """Evaluate, train, evaluate, export, report."""
        before = getattr(self.module, "evaluate_before", False)
        if before and not self._has_before:
            self._test("before", "_before")
        start = self.plan.checkpoint
        signals.check_stop()
        self.trainer.fit(self.module, datamodule=self._datamodule, ckpt_path=start, weights_only=True)
        signals.check_stop()
        self._test("after", "_after" if before else "")
        self.results.add(getattr(self.module, "costs", {}), "")
        self._export()
        self.report()
        self._finish()

    def evaluate(self) -> None:
        """Figures of a checkpoint, or of the untrained model."""
        if not self._evaluates:
            raise UserError(f"mode=eval with method={self.plan.choices.get('method')}", "this method has no test_step",
                            "write one, or use mode=train")
        self._test("eval", "", self.plan.checkpoint)
        self._finish()

    def protocol(self) -> None:
        """Every state of the given runs, evaluated alike; then one table, plots and pictures of all of them."""
        for place, state in enumerate(self.states, 1):
            console.note(f"{place}/{len(self.states)}  {state.label}  {short(state.run) if state.run else ''}".rstrip())
            signals.check_stop()
            seed_everything(self.plan.cfg["seed"], epoch=-1)
            self.module.state = state
            try:
                self.trainer.test(self.module, verbose=False)
            except (signals.StopRun, KeyboardInterrupt):
                console.note("What was evaluated is kept: the same command goes on from here.")
                raise
        if self.trainer.is_global_zero:
            self.results.add(self.module.report_protocol(self.plan.folder))
        console.note(f"Results: {short(self.plan.folder)}")

    def sample(self) -> None:
        """Pictures for ``prompts=`` in ``<run folder>/samples``."""
        if not console.is_main_process():
            return
        if not hasattr(self.module, "sample"):
            raise UserError(f"method={self.plan.choices.get('method')}", "this method draws no samples")
        self._load_for_sampling()
        folder = self.plan.folder / "samples"
        folder.mkdir(exist_ok=True)
        with torch.no_grad():
            paths = self.module.sample(list(self.plan.cfg["prompts"]), folder)
        for path in paths:
            console.note(str(short(path)))

    def report(self) -> None:
        """Let the method draw its plots and picture sheets into the run folder."""
        if hasattr(self.module, "report") and console.is_main_process():
            self.module.report(self.plan.folder)

    def close(self) -> None:
        """Finish the loggers."""
        exit_code = 0 if self.results.head["status"] == "finished" else 1
        for logger in self.loggers:
            if hasattr(logger, "close"):
                logger.close(exit_code)
        self.loggers = []

    @property
    def _evaluates(self) -> bool:
        """Not so a method that only trains."""
        return is_overridden("test_step", self.module)

    @property
    def _has_before(self) -> bool:
        """Whether the evaluation before training is done; a run that is continued has its figures already."""
        return any(name.endswith("_before") for name in self.results.figures)

    @property
    def _datamodule(self) -> Any:
        return getattr(self.module, "datamodule", None)

    def _inspect_checkpoint(self) -> int:
        """Check that the checkpoint fits before anything is loaded; the number of epochs behind it."""
        return keeping.about(State(self.plan.checkpoint), self.module)["epoch"] or 0

    def _inspect_states(self) -> list[State]:
        """What ``mode=protocol`` has to evaluate; states that do not fit are refused before weights are loaded."""
        if self.mode != "protocol":
            return []
        if not hasattr(self.module, "begin_protocol"):
            raise UserError(f"method={self.plan.choices.get('method')}", "this method has no evaluation protocol",
                            "use mode=eval")
        missing = self.module.begin_protocol(self.plan.states)
        alike = getattr(self.module, "evaluated_alike", ())
        comparable.check_states(self.plan.states, self.plan.cfg, alike, self.plan.typed)
        return missing

    def _trainer(self) -> Trainer:
        node = dict(self.plan.cfg["trainer"])
        callbacks: list[Callback] = [build(item) for item in (self.plan.cfg.get("callbacks") or {}).values() if item]
        if not any(isinstance(item, Checkpoint) for item in callbacks):
            node["enable_checkpointing"] = False
        self.loggers = self._build_loggers()
        return build(node, callbacks=[self.state, ConsoleProgress(), *callbacks], logger=self.loggers or False,
                     plugins=[checkpoint.AtomicCheckpointIO(), *tasks.plugins()],
                     default_root_dir=str(self.plan.folder))

    def _build_loggers(self) -> list[Logger]:
        nodes = (self.plan.cfg.get("logger") or {}).values()
        loggers = [build(node) for node in nodes if node] if self.mode == "train" else []
        for logger in loggers:
            if hasattr(logger, "attach_run"):
                logger.attach_run(self.plan.folder, config=self.plan.cfg)
            if hasattr(logger, "keep_until") and console.is_main_process():
                logger.keep_until(self.first_epoch - 1, before=self.first_epoch > 0 or self._has_before)
        return loggers

    def _banner(self) -> None:
        rows = list(self.module.banner()) if hasattr(self.module, "banner") else []
        rows += [("run folder", str(short(self.plan.folder))), ("device", devices.name(self.trainer))]
        if self.plan.checkpoint is not None:
            rows.append(("from", f"{short(self.plan.checkpoint)} ({self.first_epoch} epochs)"))
        elif self.plan.resumed:
            rows.append(("from", "the start: the run had finished no epoch"))
        if self.mode == "protocol":
            rows.append(("states", f"{len(self.states)} to evaluate" if self.states else "all evaluated before"))
        console.banner(f"{self.plan.choices.get('method')}  {self.mode}", rows)
        if self.trainer.num_devices > 1 and self.mode != "sample" and not rendezvous.is_needed():
            console.note(f"Starting {self.trainer.num_devices} processes, each of which loads PyTorch and the data.")

    def _test(self, label: str, suffix: str, start: Path | None = None) -> None:
        signals.check_stop()
        if not self._evaluates:
            return
        if hasattr(self.module, "before_eval"):
            self.module.before_eval(label)
        seed_everything(self.plan.cfg["seed"], epoch=-1)
        self.trainer.test(self.module, datamodule=self._datamodule, ckpt_path=start, weights_only=True, verbose=False)
        self.results.add(getattr(self.module, "figures", {}), suffix)
        if suffix == "_before":
            self.results.head[EVALUATED_AS] = self._evaluated_as
        self.results.save("running")

    def _export(self) -> None:
        if hasattr(self.module, "before_export"):
            self.module.before_export()
        if hasattr(self.module, "export") and self.trainer.is_global_zero:
            with atomic.replacing(self.plan.folder / "export") as folder:
                folder.mkdir()
                self.module.export(folder)

    def _finish(self) -> None:
        for logger in self.loggers:
            if hasattr(logger, "summarize") and self.trainer.is_global_zero:
                logger.summarize(self.results.figures)
        console.figures_table(self.results.figures)
        console.note(f"Results: {short(self.plan.folder)}")

    def _load_for_sampling(self) -> None:
        """What ``trainer.test`` does before its loop: set up, restore, move to the device."""
        self.module.setup("predict")
        self.module.configure_model()
        keeping.restore(State(self.plan.checkpoint), self.module)
        self.module.to(self.trainer.strategy.root_device).eval()
