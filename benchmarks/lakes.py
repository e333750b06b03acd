"""Files of the benchmarks' lakes: cleaned, split and shortened."""

from pathlib import Path

from processor.reducers.definition import Definition
from processor.reducers.events import Event, parse, parse_header


def clean(path: Path) -> None:
    """Remove the lines that cannot be read from a file."""
    cleaned = path.with_suffix(".clean")
    with path.open("rb") as lines, cleaned.open("wb") as kept:
        header = next(lines)
        kept.write(header)
        names = parse_header(header.rstrip(), Definition())
        kept.writelines(line for line in lines if isinstance(parse(line.rstrip(b"\r\n"), names), Event))
    cleaned.replace(path)


def split(path: Path, lines: int, folder: Path) -> None:
    """Split a file into files of `lines` lines each, without the lines that cannot be read."""
    clean(path)
    header, *data = path.read_bytes().splitlines(keepends=True)
    folder.mkdir()
    for begin in range(0, len(data), lines):
        (folder / f"{path.stem}-{begin // lines:06}.tsv").write_bytes(header + b"".join(data[begin : begin + lines]))


def cut_off(path: Path, lines: int) -> bytes:
    """Remove the last lines of a file; return them as a file of their own."""
    header, *data = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + b"".join(data[:-lines]))
    return header + b"".join(data[-lines:])
