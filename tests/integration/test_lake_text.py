"""The text of lake files, plain and compressed."""

import gzip
from pathlib import Path

import pytest
from backports import zstd

from processor.lake.base import FileError
from tests.support.lake_files import read_lake_file
from tests.support.proxies import put

DATA = bytes(range(256)) * 4096


@pytest.mark.parametrize("place", ["s3", "folder"])
def test_byte_ranges_and_compressed_files_are_read(place: str, bucket: str, tmp_path: Path) -> None:
    lake = {"a.tsv": DATA, "b.tsv.gz": gzip.compress(DATA), "c.tsv.zst": zstd.compress(DATA), "empty.tsv": b""}
    for key, data in lake.items():
        put(bucket, f"lake/{key}", data)
        (tmp_path / key).write_bytes(data)
    url = "s3://events/lake/" if place == "s3" else str(tmp_path)
    assert read_lake_file(url, "a.tsv", 300_001, 700_003) == DATA[300_001:700_003]
    assert read_lake_file(url, "a.tsv", 1_000_000, 9_000_000) == DATA[1_000_000:]
    assert (read_lake_file(url, "b.tsv.gz"), read_lake_file(url, "c.tsv.zst"), read_lake_file(url, "empty.tsv")) == (
        DATA,
        DATA,
        b"",
    )


@pytest.mark.parametrize(("name", "pack"), [("a.tsv.gz", gzip.compress), ("a.tsv.zst", zstd.compress)])
def test_broken_compression_fails_the_file(tmp_path: Path, name: str, pack: type) -> None:
    for broken in (pack(DATA)[:-5], pack(DATA) + b"x", b"no such thing"):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(FileError, match="compression is broken"):
            read_lake_file(str(tmp_path), name)
