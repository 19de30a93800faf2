"""A wandb run that never prompts: offline without a login, one folder for all runs, the same id when continued."""

import os
import secrets
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment

from src.core import console
from src.core.runfolder import sweep_of

ID_FILE = "wandb_id.txt"
ANSWER_SECONDS = 15.0  # longest wait for the server at the start


class WandbRun(WandbLogger):
    """Writes below ``<folder>/wandb``; the run carries the name of the run folder and its configuration."""

    def __init__(
        self, *, project: str, entity: str | None = None, folder: str = "outputs", group: str | None = None,
        tags: list[str] | None = None
    ) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        super().__init__(project=project, entity=entity, save_dir=folder, group=group, tags=tags,
                         settings=quiet_settings())
        # Lightning's own `offline=True` writes WANDB_MODE into the environment, `anonymous` only earns a warning.
        self._wandb_init.pop("anonymous", None)
        if not logged_in():
            self._wandb_init["mode"] = "offline"

    def attach_run(self, folder: Path, config: dict[str, Any], **_: Any) -> None:
        """Name the run after its folder and keep its id there, for the day it is continued."""
        file = folder / ID_FILE
        if not file.is_file() and console.is_main_process():
            file.write_text(secrets.token_hex(4))
        self._id = self._wandb_init["id"] = file.read_text().strip() if file.is_file() else None
        self._name = self._wandb_init["name"] = folder.name
        if (sweep := sweep_of(folder)) and self._wandb_init.get("group") is None:
            self._wandb_init["group"] = sweep.name  # the runs of a sweep are one group
        self._wandb_init["config"] = config

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The wandb run, started on first use; offline if the server does not answer."""
        try:
            return self._start()
        except wandb.errors.Error as error:
            console.warn(f"wandb: {str(error).splitlines()[0]}; this run is kept offline")
            wandb.teardown()  # else the service says that the id is in use
            self._wandb_init["mode"] = "offline"
            return self._start()

    def _start(self) -> Any:
        return WandbLogger.experiment.fget(self)

    def summarize(self, figures: dict[str, float]) -> None:
        """Put the final figures into the run's summary."""
        self.experiment.summary.update(figures)

    def close(self, exit_code: int = 0) -> None:
        """Finish the run, so that everything is on disk or uploaded."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=exit_code)
            self._experiment = None


def quiet_settings() -> wandb.Settings:
    """No console capture, no banner, no search for code and commit (env.json has the commit)."""
    return wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True,
                          init_timeout=ANSWER_SECONDS)


def logged_in() -> bool:
    """Whether wandb could upload: a mode or key in the environment, or a key in netrc."""
    if os.environ.get("WANDB_MODE") or os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].split("/")[0].split(":")[0]
    file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc(str(file)).authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False
