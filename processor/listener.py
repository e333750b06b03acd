"""The port of listeners, which a run informs of what happens: console, JSON log, metrics, lineage and run tally."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from state.files import FileVersion


class Listener:
    """Is informed of what happens in a run. Each method does nothing; a subclass overrides those that it needs."""

    def listed(self, unchanged: int) -> None:
        """The lake was listed; `unchanged` of its files have the fingerprint that was ingested."""

    def started(self, files: int, size: int) -> None:
        """`files` files of `size` bytes in total are about to be ingested."""

    def read(self, size: int) -> None:
        """`size` more bytes were read from the lake."""

    def ingested(self, version: "FileVersion") -> None:
        """A file was ingested."""

    def committed(self, seconds: float) -> None:
        """A transaction that ingested files took `seconds`."""

    def unchanged(self, key: str) -> None:
        """A file was read again and has the same content as before."""

    def forgotten(self, key: str) -> None:
        """The contribution of a file was retracted."""

    def failed(self, key: str, error: str) -> None:
        """A file failed; `error` says why and what to do."""

    def warn(self, line: str) -> None:
        """Something went wrong that the run repairs by itself."""


class Listeners(Listener):
    """Informs several listeners, in their order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def listed(self, unchanged: int) -> None:
        for listener in self._listeners:
            listener.listed(unchanged)

    def started(self, files: int, size: int) -> None:
        for listener in self._listeners:
            listener.started(files, size)

    def read(self, size: int) -> None:
        for listener in self._listeners:
            listener.read(size)

    def ingested(self, version: "FileVersion") -> None:
        for listener in self._listeners:
            listener.ingested(version)

    def committed(self, seconds: float) -> None:
        for listener in self._listeners:
            listener.committed(seconds)

    def unchanged(self, key: str) -> None:
        for listener in self._listeners:
            listener.unchanged(key)

    def forgotten(self, key: str) -> None:
        for listener in self._listeners:
            listener.forgotten(key)

    def failed(self, key: str, error: str) -> None:
        for listener in self._listeners:
            listener.failed(key, error)

    def warn(self, line: str) -> None:
        for listener in self._listeners:
            listener.warn(line)
