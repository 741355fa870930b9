"""The page headers of a Parquet file → the size of its largest page, before one is decompressed.

Arrow allocates what a page's header claims, and decompresses whatever is there: a few kilobytes can become gigabytes.
The headers are structs of Thrift's compact protocol, as parquet-format describes them; only the sizes are looked at.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

MAX_PAGE_BYTES = 2**27 + 2**16  # decompressed: a picture file of the largest permitted size, and what belongs to it
MAX_PAGES = 100_000  # of a column in a row group
HEADER_BYTES = 2**16, 2**22  # that are read of a page for its header; the second if it does not fit into the first
UNCOMPRESSED_SIZE, COMPRESSED_SIZE = 2, 3  # fields of a PageHeader
BOOLEANS, INTEGERS = (1, 2), (4, 5, 6)  # types of fields; the value of a boolean is its type
MAX_HEADER_DEPTH = 8  # of structs within each other; a PageHeader has three


def largest_page(path: Path, footer: Any, columns: Sequence[str], group: int | None = None) -> int:
    """The decompressed size of the largest page in bytes; 0 if there is none.

    Args:
        path: The Parquet file.
        footer: Its pyarrow.parquet.FileMetaData.
        columns: The names of top-level columns that count.
        group: The row group that counts; None: all.

    Raises ValueError if a header is damaged, or claims more than `MAX_PAGE_BYTES`.
    """
    largest = 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for row_group in range(footer.num_row_groups) if group is None else (group,):
            metadata = footer.row_group(row_group)
            for chunk in (metadata.column(index) for index in range(metadata.num_columns)):
                if chunk.path_in_schema.partition(".")[0] in columns:
                    largest = max(largest, _largest_of_chunk(file, chunk, size))
    return largest


def _largest_of_chunk(file: BinaryIO, chunk: Any, file_size: int) -> int:
    offset = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        offset = min(offset, chunk.dictionary_page_offset)
    end, largest = offset + chunk.total_compressed_size, 0
    if not 0 <= offset <= end <= file_size:
        raise ValueError("a column ends after the file")
    for _ in range(MAX_PAGES):
        if offset >= end:
            return largest
        length, uncompressed, compressed = _read_page_header(file, offset)
        if uncompressed > MAX_PAGE_BYTES:
            raise ValueError(f"a page of it holds {uncompressed:,} bytes, {MAX_PAGE_BYTES:,} are allowed")
        largest = max(largest, uncompressed)
        offset += length + compressed
    raise ValueError(f"a column of it has more than {MAX_PAGES:,} pages")


def _read_page_header(file: BinaryIO, offset: int) -> tuple[int, int, int]:
    """Length of the header at `offset`, and of its page, decompressed and compressed."""
    for limit in HEADER_BYTES:
        file.seek(offset)
        header = _CompactReader(file.read(limit))
        try:
            sizes = header.read_struct()
        except IndexError:  # it is longer
            continue
        uncompressed, compressed = (sizes.get(field, -1) for field in (UNCOMPRESSED_SIZE, COMPRESSED_SIZE))
        if min(uncompressed, compressed) < 0:
            break
        return header.position, uncompressed, compressed
    raise ValueError("the header of a page is damaged")


class _CompactReader:
    """Reads Thrift's compact protocol from bytes. Raises IndexError where they end, ValueError where they are none."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def read_struct(self, depth: int = 0) -> dict[int, int]:
        """The whole numbers of a struct by field; everything else is skipped."""
        numbers: dict[int, int] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            if kind in INTEGERS:
                numbers[field] = self._number()
            elif kind not in BOOLEANS:
                self._skip(kind, depth)
        return numbers

    def _byte(self) -> int:
        self.position += 1
        return self._content[self.position - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("the header of a page is damaged")

    def _number(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)  # zigzag

    def _skip_bytes(self, count: int) -> None:
        self.position += count
        if self.position > len(self._content):
            raise IndexError

    def _skip(self, kind: int, depth: int) -> None:
        """Skip a value of this type; a boolean in a list is a byte."""
        if depth > MAX_HEADER_DEPTH:
            raise ValueError("the header of a page is nested too deeply")
        match kind:
            case 1 | 2 | 3:  # a boolean or a byte
                self._skip_bytes(1)
            case 4 | 5 | 6:  # a whole number
                self._varint()
            case 7:  # a float
                self._skip_bytes(8)
            case 8:  # bytes
                self._skip_bytes(self._varint())
            case 9 | 10:  # a list or a set
                head = self._byte()
                count = self._varint() if head >> 4 == 15 else head >> 4
                for _ in range(count):
                    self._skip(head & 15, depth + 1)
            case 11:  # a map
                if count := self._varint():
                    kinds = self._byte()
                    for _ in range(count):
                        self._skip(kinds >> 4, depth + 1)
                        self._skip(kinds & 15, depth + 1)
            case 12:  # a struct
                self.read_struct(depth + 1)
            case _:
                raise ValueError("the header of a page is damaged")
