"""The one place where configuration becomes objects."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from src.core.config.check import ALLOWED, targets
from src.core.errors import UserError


def build(node: dict[str, Any], **extra: Any) -> Any:
    """Instantiate a plain node and everything below it.

    Only targets below the allowed packages are called. Errors of a constructor come out as they were raised; a
    package that is not installed as ``UserError``.
    """
    for path, child in targets(node):
        if not str(child["_target_"]).startswith(ALLOWED):
            raise UserError(f"{path}._target_={child['_target_']}", f"must start with one of {', '.join(ALLOWED)}")
    try:
        return instantiate({**node, "_convert_": "all"}, **extra)
    except InstantiationException as error:
        cause = _first_cause(error)
    if isinstance(cause, ModuleNotFoundError):
        raise UserError(node["_target_"], f"needs the package {cause.name}",
                        f"install it: .venv/bin/pip install {cause.name}") from cause
    raise cause  # not from Hydra's error, whose own cause it is: the chain would be a ring


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error
