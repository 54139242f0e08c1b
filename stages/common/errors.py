"""The one error of bad input: what is wrong where, and what is allowed, as fields and as one line."""

from pathlib import Path
from reprlib import Repr

ABSENT = object()  # a value that nobody gave, for None is one that somebody may give
SHORT = Repr()
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 60
SHORT.maxlevel = SHORT.maxdict = SHORT.maxlist = 2
shown = SHORT.repr  # a value, in as much of a line as a message has for it


class InputError(ValueError):
    """Bad input: parameters, files of the user's, or what another stage handed on.

    Its text is `FILE: KEY = VALUE: PROBLEM; allowed: ALLOWED`, of the parts that are known. Tests ask the fields.
    """

    def __init__(
        self,
        file: str | Path | None,
        problem: str = "",
        *,
        key: str = "",
        value: object = ABSENT,
        allowed: str = "",
    ) -> None:
        """Hold the parts.

        file: what was read; None where the caller knows it. key: what of it (a parameter, a column, `line 3`). value:
        what stood there, shown as Python writes it. problem, allowed: in words.
        """
        self.file = None if file is None else str(file)
        self.key, self.value, self.problem, self.allowed = key, value, problem, allowed
        subject = key if value is ABSENT else f"{key} = {shown(value)}" if key else shown(value)
        line = ": ".join(part for part in (self.file, subject, problem) if part)
        super().__init__(f"{line}; allowed: {allowed}" if allowed else line)
