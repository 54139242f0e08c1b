"""Run a command that is no stage: what it returns is printed, bad input is one line and exit code 1."""

import sys
from collections.abc import Callable


def run(main: Callable[[list[str]], str | None]) -> None:
    """Call `main` with the command line's words and print the text it returns, if any."""
    try:
        text = main(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"error: {error}")
    if text is not None:
        print(text)
