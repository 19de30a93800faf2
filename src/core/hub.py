"""The hub seen from here: its cache, whether it can be reached, and what to do if not. Pure Python."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 1.5  # seconds to wait for the hub to answer before the run tries it anyway


def is_hub_id(path: str) -> bool:
    """Whether the words look like `owner/name` on the hub (a relative path such as ./a/b does not)."""
    return re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", path) is not None


def hub_cache() -> Path:
    """The hub's cache folder, found as huggingface_hub finds it."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def cached_snapshot(hub_id: str) -> Path | None:
    """The newest snapshot of a hub repository in the cache, whole or not; None if there is none."""
    repository = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    main = repository / "refs" / "main"
    if main.is_file():
        named = repository / "snapshots" / main.read_text().strip()
        if named.is_dir():
            return named
    snapshots = [folder for folder in (repository / "snapshots").glob("*") if folder.is_dir()]
    return max(snapshots, key=lambda folder: folder.stat().st_mtime, default=None)


def is_switched_off() -> bool:
    """Whether the user has said that nothing is to be fetched."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in names)


def unreachable(url: str | None = None) -> str | None:
    """Why nothing can be fetched from the hub (or from a url), or None if nothing speaks against it (or no answer came
    in time)."""
    if url is None and is_switched_off():
        return "the hub is switched off by HF_HUB_OFFLINE"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return None  # only the proxy knows
    failures: list[str] = []
    knock = threading.Thread(target=_knock, args=(url, failures), daemon=True)  # looking up a name knows no time limit
    knock.start()
    knock.join(PATIENCE)
    return failures[0] if failures else None


def _knock(url: str | None, failures: list[str]) -> None:
    from huggingface_hub.constants import ENDPOINT

    address = urlsplit(url or ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=PATIENCE).close()
    except OSError as error:
        failures.append(f"{address.hostname} cannot be reached: {error}")


def offline_message(hub_id: str, option: str, patterns: Sequence[str], reason: str) -> str:
    """What to do when a hub repository is neither in the cache nor within reach."""
    name = hub_id.rpartition("/")[2]
    wanted = " ".join(f'--include "{pattern}"' for pattern in patterns)
    return (f"{option}: the weights of {hub_id} are not in {hub_cache()}, and they cannot be fetched ({reason}).\n"
            f"On a machine with a network run\n  hf download {hub_id} --local-dir {name} {wanted}\n"
            f"then copy the folder here and give {option}=<folder>/{name}.")
