"""Lists that people keep beside their images, in whatever encoding an editor left them."""

import codecs
import re
from pathlib import Path

MARKS = {  # by which a text says its encoding; UTF-32's begins with UTF-16's
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # no text that was decoded rightly holds one


def read(file: Path) -> str:
    """Return a text in UTF-8, in UTF-16 or UTF-32 if it begins with their mark, or else in Latin-1.

    Raises ValueError when it is not there or is none of these.
    """
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    content = file.read_bytes()
    marked = [encoding for mark, encoding in MARKS.items() if content.startswith(mark)][:1]
    for encoding in marked or ["utf-8", "latin-1"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not CONTROL.search(text):
            return text
    raise ValueError(f"{file}: not a text; allowed: UTF-8, Latin-1, or UTF-16 with its mark")
