"""Where a search's trials are kept: a study in a database, by default a file in the sweep's folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.core.errors import UserError

if TYPE_CHECKING:
    from optuna import Study

STUDY = "sweep"


def optuna() -> Any:
    """The package, without its own messages. Raises ``UserError`` if it is not installed."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UserError("hydra/sweeper=optuna", f"needs the package {error.name}",
                        'install it: .venv/bin/pip install -e ".[sweeps]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def check_storage(url: str) -> None:
    """Raise ``UserError`` for a database that cannot be reached or read; creates nothing."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(url)
        file = Path(engine.url.database or "").absolute() if engine.url.get_backend_name() == "sqlite" else None
        if file is None or file.is_file():
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA schema_version" if file else "SELECT 1")
        elif not file.parent.is_dir():
            raise UserError(f"hydra.sweeper.storage={url}", f"there is no folder {file.parent}", "make it first")
    except ModuleNotFoundError as error:
        raise UserError(f"hydra.sweeper.storage={url}", f"needs the package {error.name}",
                        f"install it: .venv/bin/pip install {error.name}") from error
    except SQLAlchemyError as error:
        raise UserError(f"hydra.sweeper.storage={url}", str(error).splitlines()[0],
                        "write a database's URL, as in sqlite:////shared/optuna.db") from error


def own_database(folder: Path) -> str:
    """The URL of the database in a sweep's folder."""
    return f"sqlite:///{folder / 'optuna.db'}"


def opened(url: str | None, folder: Path, direction: str) -> Study:
    """The study of the sweep in ``folder``, made if it is not there."""
    package = optuna()
    place = {"storage": url or own_database(folder), "study_name": folder.name if url else STUDY}
    study = package.create_study(**place, direction=direction, load_if_exists=True)
    if study.direction.name.lower() == direction:
        return study
    # The aim was mistyped, so that no trial has a value yet: a study cannot change its direction, its trials can move.
    trials = study.trials
    package.delete_study(**place)
    study = package.create_study(**place, direction=direction)
    study.add_trials(trials)
    return study
