"""Processes that torchrun or srun has started share what their main process decides, before Lightning connects them.

A run's folder is named after the time, and the newest run to continue may be another one a moment later: if each
process decided alone, they might not agree.
"""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from src.core import console
from src.core.errors import UserError
from src.core.processes import tasks

PATIENCE = timedelta(seconds=120)  # until the main process has been started too
_kept: list[Any] = []  # the main process's store lives as long as it: others may ask late


def is_needed() -> bool:
    """Whether this is one of several processes that torchrun or srun has started."""
    return _by_torchrun() or tasks.are_several()


def decided(what: str, decide: Callable[[], Path | None]) -> Path | None:
    """The folder that ``decide`` gives in the main process, in all of them, or its ``UserError``."""
    if not is_needed():
        return decide()
    store = _store()
    if not console.is_main_process():
        folder, words = json.loads(store.get(what))
        if words:
            raise UserError(*words)
        return Path(folder) if folder else None
    try:
        folder = decide()
    except UserError as error:
        store.set(what, json.dumps([None, error.words]))
        raise
    store.set(what, json.dumps([str(folder) if folder else None, None]))
    return folder


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE") or 1) > 1


def _store() -> Any:
    """torchrun's own store, or one of the main process on the port after that of the training."""
    if _kept:
        return _kept[0]
    from torch.distributed import PrefixStore, TCPStore

    if _by_torchrun():
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    else:
        from lightning.fabric.plugins.environments import SLURMEnvironment

        cluster = SLURMEnvironment()
        host, port = cluster.main_address, cluster.main_port
    theirs = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    try:
        store = TCPStore(host, port if theirs else port + 1, is_master=not theirs and console.is_main_process(),
                         timeout=PATIENCE, wait_for_workers=False)
    except (RuntimeError, OSError) as error:
        raise UserError(f"{host}:{port}", f"the main process cannot be reached ({str(error).splitlines()[0]})",
                        "add run_dir=<folder>: then the processes need not agree on one") from error
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    _kept.append(PrefixStore(f"b2/{attempt}", store))
    return _kept[0]
