"""What may be typed after ``python -m src.run``: overrides, ``--config-dir``, help, and Hydra's own flags."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.core.config.quoting import in_shell
from src.core.errors import UserError, did_you_mean, nearest
from src.core.places import CONF, ROOT
from src.core.runfolder import sweep_named

HYDRA_FLAGS = ("--multirun", "-m", "--cfg", "-c", "--info", "-i", "--resolve", "--package", "-p", "--hydra-help",
               "--version", "--shell-completion", "-sc")
FLAGS = ("--help", "--config-dir", *HYDRA_FLAGS)
GROUPS = ("method", "model", "data", "reward", "scorers", "measures", "objective", "trainer", "memory", "preset",
          "logger", "debug", "experiment", "sweep")


@dataclass
class Arguments:
    """The command line, taken apart."""

    overrides: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    roots: list[Path] = field(default_factory=list)
    help: bool = False
    hydra: bool = False
    multirun: bool = False
    composes: bool = True


def parse(argv: Sequence[str]) -> Arguments:
    """Split flags from overrides. Raises ``UserError`` for flags that do not exist."""
    found, words = Arguments(), list(argv)
    while words:
        word = words.pop(0)
        if word.startswith("--") and "=" in word and word.split("=")[0] in (*HYDRA_FLAGS, "--config-dir"):
            words[:0] = word.split("=", 1)
            continue
        if word in ("--help", "-h"):
            found.help = True
        elif word in ("--config-dir", "-cd") and words:
            found.roots.append(_folder(words.pop(0)))
        elif word in ("--multirun", "-m"):
            found.multirun = True
        elif word in HYDRA_FLAGS:
            found.hydra = True
            found.composes &= word not in ("--hydra-help", "--version", "--shell-completion", "-sc")
            takes_value = word in ("--cfg", "-c", "--package", "-p") or (word in ("--info", "-i") and _is_word(words))
            found.flags += [word, *(words[:1] if takes_value else [])]
            words = words[1:] if takes_value else words
        elif word.startswith("-"):
            raise _no_flag(word, words)
        else:
            found.overrides.append(word)
    found.multirun |= sweep_named(found.overrides) is not None or any(
        word.startswith("sweep=") and word not in ("sweep=", "sweep=null", "sweep=none") for word in found.overrides)
    found.multirun &= "hydra.mode=RUN" not in found.overrides  # one job of a sweep
    return found


def flags(roots: Sequence[Path | str]) -> list[str]:
    """The words that name such folders."""
    return [word for root in roots for word in ("--config-dir", str(root))]


def help_text(roots: Sequence[Path] = ()) -> str:
    """The answer to ``--help``; reads folder listings only."""
    lines = []
    for group in GROUPS:
        pattern = "**/*.yaml" if group == "experiment" else "*.yaml"  # elsewhere, folders hold overlays
        names = sorted({path.relative_to(root / group).with_suffix("").as_posix()
                        for root in (CONF, ROOT / "experiments", *roots)
                        for path in (root / group).glob(pattern)} - {"none"})
        if names:
            lines.append(f"  {group:<11}{', '.join(names)}")
    return (CONF / "help.txt").read_text().format(groups="\n".join(lines))


def _no_flag(word: str, rest: Sequence[str]) -> UserError:
    """A setting with dashes, ``--seed=1`` or ``--seed 1``, or a flag that is misspelt."""
    near = nearest(word, FLAGS)
    name = word.lstrip("-")
    if "=" in name:
        fix = f"write {in_shell(name)}, without dashes"
    elif near is None and rest and not set("-=") & set(rest[0]):
        fix = f"write {in_shell(f'{name}={rest[0]}')}, without dashes"
    else:
        fix = did_you_mean(word, FLAGS)
    return UserError(word, "there is no such flag; settings are written key=value", fix)


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise UserError(f"--config-dir {text}", "there is no such folder")
    return path.resolve()


def _is_word(words: Sequence[str]) -> bool:
    return bool(words) and "=" not in words[0] and not words[0].startswith("-")
