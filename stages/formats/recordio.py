"""dmlc RecordIO, the container of MXNet's .rec files (dmlc-core, src/recordio.cc).

A record is `magic u32 | flag << 29 | length u32 | payload | zeros up to a multiple of four`, little-endian. Where the
payload holds the magic at a multiple of four, it is split there and the magic left out: flag 1 marks the first part, 2
those between, 3 the last, 0 a whole payload.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stages.common.errors import InputError

MAGIC = struct.pack("<I", 0xCED7230A)
LIMIT = 1 << 29  # bytes of a payload
NO_RECORD = "no RecordIO record begins here: the file is truncated, or the index is that of another"
TRUNCATED = "the record that begins here is truncated"


def write(stream: BinaryIO, payload: bytes) -> None:
    """Append one record; raises InputError when the payload is too long for the format."""
    if len(payload) >= LIMIT:
        raise InputError(None, f"a record of {len(payload)} bytes", allowed=f"fewer than {LIMIT}")
    parts = _split(payload)
    for i, part in enumerate(parts):
        flag = 0 if len(parts) == 1 else 1 if i == 0 else 3 if i == len(parts) - 1 else 2
        stream.write(MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + b"\0" * (-len(part) % 4))


def _split(payload: bytes) -> list[bytes]:
    parts, start, at = [], 0, payload.find(MAGIC)
    while at >= 0:
        if at % 4 == 0:
            parts.append(payload[start:at])
            start = at + 4
        at = payload.find(MAGIC, start if at % 4 == 0 else at + 1)
    return [*parts, payload[start:]]


class Records:
    """The records of a file, memory-mapped, addressed by the byte at which they begin."""

    def __init__(self, file: Path) -> None:
        """Map `file`; raises InputError when it is empty."""
        self.file = file
        with file.open("rb") as stream:
            if not file.stat().st_size:
                raise InputError(file, "an empty file", allowed="RecordIO")
            self.bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self, offset: int) -> bytes:
        """Return the payload of the record at a byte; raises InputError when there is none or it is truncated."""
        return self.read_until(offset)[0]

    def read_until(self, offset: int) -> tuple[bytes, int]:
        """Return the payload of the record at a byte, and the byte after it; errors as in `read`."""
        parts, at = [], offset
        while True:
            if not 0 <= at <= len(self.bytes) - 8 or self.bytes[at : at + 4] != MAGIC:
                raise InputError(self.file, NO_RECORD, key=f"byte {at}")
            (word,) = struct.unpack_from("<I", self.bytes, at + 4)
            flag, length = word >> 29, word % LIMIT
            part = self.bytes[at + 8 : at + 8 + length]
            if len(part) < length:
                raise InputError(self.file, TRUNCATED, key=f"byte {offset}")
            if flag not in ((2, 3) if parts else (0, 1)):
                raise InputError(self.file, f"part {flag} of a split record out of turn", key=f"byte {at}")
            parts.append(part)
            at += 8 + length + -length % 4
            if flag in (0, 3):
                return MAGIC.join(parts), at

    def offsets(self) -> Iterator[int]:
        """Yield where every record begins, going through the file; raises InputError when one is truncated."""
        at = 0
        while at < len(self.bytes):
            yield at
            at = self.read_until(at)[1]
