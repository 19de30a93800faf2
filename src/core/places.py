"""Where the project's own files are, and where a path of the user's leads."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def local_path(path: str) -> Path | None:
    """The existing file or folder: as given (from the working directory), else from the project's root; else None."""
    for candidate in (Path(path).expanduser(), ROOT / path):
        if candidate.exists():
            return candidate.resolve()
    return None
