"""The one error of bad input: what is wrong where, and what is allowed, as fields and as one line."""

from pathlib import Path
from reprlib import Repr

ABSENT = object()  # where there is no value to show; None is a value
SHORT = Repr()
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 60
SHORT.maxlevel = SHORT.maxdict = SHORT.maxlist = 2
shown = SHORT.repr  # writes a value as Python does, short enough for a message of one line


class InputError(ValueError):
    """Bad input: parameters, the user's files, or the files of another stage.

    Its text is `FILE: KEY = VALUE: PROBLEM; allowed: ALLOWED`, of the parts that are known. Tests compare the fields.
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

        file: the file that was read, None where it is not known. key: the place in it (a parameter, a column,
        `line 3`). value: the bad value, shown as Python writes it. problem, allowed: in words.
        """
        self.file = None if file is None else str(file)
        self.key, self.value, self.problem, self.allowed = key, value, problem, allowed
        subject = key if value is ABSENT else f"{key} = {shown(value)}" if key else shown(value)
        line = ": ".join(part for part in (self.file, subject, problem) if part)
        super().__init__(f"{line}; allowed: {allowed}" if allowed else line)
