"""A wandb run that never asks: offline without a login, one folder for all runs, the same id when continued."""

import os
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

ID_FILE = "wandb_id.txt"


class WandbRun(WandbLogger):
    """Writes below ``<folder>/wandb``; the run carries the name of the run folder and its configuration."""

    def __init__(
        self, *, project: str, folder: str = "outputs", group: str | None = None, tags: list[str] | None = None
    ) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        offline = os.environ.get("WANDB_MODE", "") == "offline" or not logged_in()
        super().__init__(project=project, save_dir=folder, offline=offline, group=group, tags=tags,
                         settings=quiet_settings())

    def attach_run(self, folder: Path, config: dict[str, Any], **_: Any) -> None:
        """Name the run after its folder and keep its id there, for the day it is continued."""
        file = folder / ID_FILE
        if not file.is_file():
            import wandb

            file.write_text(wandb.util.generate_id())
        self._id = self._wandb_init["id"] = file.read_text().strip()
        self._name = self._wandb_init["name"] = folder.name
        self._wandb_init["config"] = config

    def summarize(self, figures: dict[str, float]) -> None:
        """Put the final figures into the run's summary."""
        self.experiment.summary.update(figures)

    def close(self, exit_code: int = 0) -> None:
        """Finish the run, so that everything is on disk or uploaded."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=exit_code, quiet=True)


def quiet_settings() -> Any:
    """Settings without console capture, banners and waiting."""
    import wandb

    return wandb.Settings(silent=True, console="off", init_timeout=30.0, x_disable_meta=False, show_info=False)


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
