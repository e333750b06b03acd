"""Files that readers see whole."""

import os
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees the earlier file or the new one, never a part.

    Makes the folder if it does not exist. Raises OSError if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
