"""Run a command that is no stage: print what it returns; bad input ends it with one line and exit code 1."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable

from stages.common import stage


def run(main: Callable[[list[str]], str | None]) -> None:
    """Call `main` with the words of the command line, and print the text that it returns, if any."""
    try:
        text = main(sys.argv[1:])
    except (ValueError, OSError, MemoryError) as error:
        sys.exit(stage.error_line(error).rstrip())
    if text is not None:
        print(text)


def parser(name: str, description: str | None) -> ArgumentParser:
    """Return a parser for `python -m stages.tools.NAME` whose help shows the module's docstring as it is."""
    return ArgumentParser(
        f"python -m stages.tools.{name}", description=description, formatter_class=RawDescriptionHelpFormatter
    )
