"""``python -m src.run [overrides]``: compose, check, launch."""

import sys
from collections.abc import Sequence

from src.core import console
from src.core.config import command_line, plan
from src.core.errors import UserError
from src.core.processes import peers


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        arguments = command_line.parse(argv)
        if arguments.help:
            console.out.print(command_line.help_text(arguments.roots), markup=False, soft_wrap=True, end="")
            return 0
        if arguments.hydra:
            from src.core.config.hydra_flags import delegate

            return delegate(arguments)
        if arguments.multirun:
            from src.sweeps.launch import sweep

            return sweep(arguments)
        checked = plan.make(arguments.overrides, arguments.roots, argv)
        from src.core.launch import launch

        return launch(checked)
    except UserError as error:
        console.fail(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def main() -> None:
    """Console script."""
    code = run(sys.argv[1:])
    if code:
        peers.leave(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
