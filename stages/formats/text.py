"""Read the lists that people keep beside their images, in whatever encoding an editor left them."""

import codecs
import re
from pathlib import Path

from stages.common.errors import InputError

MARKS = {  # how a text of each encoding begins; UTF-32 before UTF-16, with whose mark its own begins
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # characters that show a wrong encoding


def read(file: Path) -> str:
    """Return the text of a file in UTF-8 or Latin-1, or in UTF-16 or UTF-32 if it begins with their mark.

    Raises InputError when there is no such file, or it is none of these.
    """
    if not file.is_file():
        raise InputError(file, "no such file")
    content = file.read_bytes()
    by_mark = [encoding for mark, encoding in MARKS.items() if content.startswith(mark)][:1]
    for encoding in by_mark or ["utf-8", "latin-1"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not CONTROL.search(text):
            return text
    raise InputError(file, "not a text", allowed="UTF-8, Latin-1, or UTF-16 with its mark")
