"""Sizes of a Parquet file's pages: those that Arrow reports, and damaged headers are refused."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strokewise.data import parquet_pages
from strokewise.data.parquet_pages import largest_page

CODECS = ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]


def write(path: Path, image: object, label: object, **options: object) -> pq.FileMetaData:
    pq.write_table(pa.table({"image": image, "label": label}), path, **options)
    return pq.read_metadata(path)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_largest_page_is_what_the_footer_reports(codec: str, version: str, tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    options = {"compression": codec, "data_page_version": version, "use_dictionary": False, "write_statistics": False}
    footer = write(path, [bytes(50_000), b"x" * 900], ["a", "b"], **options)
    image, label = (footer.row_group(0).column(index).total_uncompressed_size for index in (0, 1))
    assert 50_900 <= largest_page(path, footer, ["image"]) < image < 51_100  # which counts the header, too
    assert largest_page(path, footer, ["label"]) < label
    assert largest_page(path, footer, ["image", "label"]) == largest_page(path, footer, ["image"])
    assert largest_page(path, footer, ["other"]) == 0


def test_all_pages_and_dictionaries_of_all_groups_count(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    images = [bytes([n]) * 1000 for n in range(50)] + [b"x" * 20_000] * 50
    footer = write(path, images, ["a"] * 100, row_group_size=25, data_page_size=100)
    assert 25_000 <= largest_page(path, footer, ["image"]) < 26_000
    assert largest_page(path, footer, ["image"], 0) == largest_page(path, footer, ["image"])
    assert 20_000 <= largest_page(path, footer, ["image"], 3) < 21_000  # a dictionary of one


@pytest.mark.parametrize("codec", CODECS)
def test_page_that_claims_too_much_is_refused(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "MAX_PAGE_BYTES", 9_000)
    path = tmp_path / "set.parquet"
    footer = write(path, [bytes(9_000)], ["a"], compression=codec, use_dictionary=False)
    with pytest.raises(ValueError, match=r"a page of it holds 9,0\d\d bytes, 9,000 are allowed"):
        largest_page(path, footer, ["image"])
    assert largest_page(path, footer, ["label"]) < 100


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x00",  # no sizes
        b"\x15\x00\x15\x01\x15\x01\x00",  # negative ones
        b"\x15\x00\x15" + b"\xff" * 12,  # a number without an end
        b"\x1c" * 60_000,  # structs in structs
        b"\x19\xf1" + b"\xff" * 9 + b"\x01",  # a list of 2^64 booleans
        b"\x1b" + b"\xff" * 9 + b"\x01\x11",  # a map of as many
        b"\x18" + b"\xff" * 9 + b"\x01",  # bytes without an end
        b"\x1d\x00",  # a type that there is not
    ],
    ids=lambda header: header[:4].hex(),
)
def test_damaged_header_is_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    footer = write(path, [b"x" * 90], ["a"], use_dictionary=False)
    content = bytearray(path.read_bytes())
    offset = footer.row_group(0).column(0).data_page_offset
    path.write_bytes(content[:offset] + header + bytes(max(0, len(content) - offset - len(header))))
    with pytest.raises(ValueError, match="the header of a page is"):
        largest_page(path, footer, ["image"])


def test_column_beyond_the_file_and_too_many_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "set.parquet"
    footer = write(path, [b"x" * 90] * 9, ["a"] * 9, use_dictionary=False, data_page_size=1, write_batch_size=1)
    monkeypatch.setattr(parquet_pages, "MAX_PAGES", 5)
    with pytest.raises(ValueError, match="more than 5 pages"):
        largest_page(path, footer, ["image"])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="ends after the file"):
        largest_page(path, footer, ["image"])
