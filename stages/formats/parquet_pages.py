"""How much memory the pages of a Parquet column take: read from the pages' own headers, for the footer may lie."""

from typing import Any

import pyarrow.parquet as pq

from stages.common.errors import InputError

SIZE, COMPRESSED_SIZE, DATA, DATA_V2 = 2, 3, 5, 8  # fields of parquet.thrift's PageHeader
VALUES, ENCODING, ENCODING_V2 = 1, 2, 4  # of its DataPageHeader and DataPageHeaderV2
DELTA_BYTE_ARRAY = 7  # each value keeps a part of the value before: a few bytes may hold any number of long ones
DEPTH = 4  # of structs within a header


def expanded(data: memoryview, chunk: pq.ColumnChunkMetaData) -> int:
    """Return how many bytes the pages of a column chunk of `data`, a Parquet file, take when they are decompressed.

    Raises InputError, without the file, when a page is missing, or when its size does not bound that of its values.
    """
    at = min(offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset is not None)
    end, values, size = at + chunk.total_compressed_size, 0, 0
    while values < chunk.num_values and at < end:
        try:
            page, start = _struct(data, at)
            at = start + abs(page[COMPRESSED_SIZE])
            size += abs(page[SIZE])
            header = page.get(DATA, page.get(DATA_V2, {}))
            values += abs(header.get(VALUES, 0))
        except (IndexError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(None, f"no page at byte {at}") from error
        if header.get(ENCODING_V2 if DATA_V2 in page else ENCODING) == DELTA_BYTE_ARRAY:
            raise InputError(None, "encoding DELTA_BYTE_ARRAY", allowed="plain, dictionary, DELTA_LENGTH_BYTE_ARRAY")
    return size


def _struct(data: memoryview, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct in Thrift's compact protocol by their numbers, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        number, at = (number + (head >> 4), at + 1) if head >> 4 else _integer(data, at + 1)
        fields[number], at = _value(data, at, head & 15, depth)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2:  # true, false
            return kind == 1, at
        case 3:
            return data[at], at + 1
        case 4 | 5 | 6:
            return _integer(data, at)
        case 8:  # bytes
            length, at = _varint(data, at)
            return None, at + length
        case 12 if depth < DEPTH:
            return _struct(data, at, depth + 1)
    raise ValueError(f"type {kind}")


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        value |= (data[at + shift // 7] & 127) << shift
        if data[at + shift // 7] < 128:
            return value, at + shift // 7 + 1
    raise ValueError("a number of more than 64 bits")
