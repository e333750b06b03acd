"""SIGTERM and SIGINT end a run within seconds, wherever it is."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECONDS = 8.0
# `timeout` of coreutils signals the process and then its group, so the process gets the same signal twice.
TWICE_SECONDS = 0.5


class Stopped(BaseException):
    """The run was told to stop by the signal that the message names; the database undoes what it was at work on."""


class Stop:
    """As a context, of the main thread: SIGTERM and SIGINT raise Stopped within it, once.

    Python runs a handler only between two steps of its own, so a thread is woken as well. It breaks off what holds
    the main thread up (`breaks_off`), and ends the process where that did not help within SECONDS, or at a second
    signal that comes later than TWICE_SECONDS: the database undoes what was not committed then, too. `say` is given
    the signal's name and tells it. After the context the signals are ignored, as the run is over. `exit_code` is that
    of a process that was stopped.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Signals are as they were."""
        self._say = say
        self.exit_code = 1
        self._breaks_off: list[Callable[[], None]] = []
        self._raised = False
        self._resent = 0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Take the signals over."""
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._forget)
        threading.Thread(target=self._watch, daemon=True, name="stop").start()
        for number in SIGNALS:
            signal.signal(number, self._raise)
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._raise_again
        return self

    def __exit__(self, *_: object) -> None:
        """Ignore the signals from now on."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._over.set()
        sys.unraisablehook = self._unraisable
        signal.set_wakeup_fd(-1)
        os.close(self._wakes)

    def breaks_off(self, call: Callable[[], None]) -> None:
        """At a signal, call this from another thread."""
        self._breaks_off.append(call)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._raised:
            return
        if _is_decoding(frame):
            # psycopg2 decodes what the server says of the statement that was broken off, and swallows what is raised.
            threading.Timer(0.001, self._resend, (number,)).start()
            return
        self._raised = True
        raise Stopped(signal.Signals(number).name)

    def _raise_again(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Raise Stopped once more where Python swallowed it, as it does in what tidies up after an object."""
        if isinstance(unraisable.exc_value, Stopped):
            self._raised = False
            threading.Timer(0.001, self._resend, (signal.Signals[str(unraisable.exc_value)],)).start()
        else:
            self._unraisable(unraisable)

    def _resend(self, number: int) -> None:
        self._resent += 1
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # wakes the main thread if it waits in C now

    def _forget(self) -> None:
        """In a child the signals do what they do by default."""
        if not self._over.is_set():
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)

    def _watch(self) -> None:
        name = self._next_signal()
        if name is None:
            return
        begun = time.monotonic()
        threading.Thread(target=self._end_later, args=(name,), daemon=True).start()
        for call in self._breaks_off:
            call()
        while self._next_signal() is not None:
            if time.monotonic() >= begun + TWICE_SECONDS:
                self._end(name)

    def _next_signal(self) -> str | None:
        """The name of the next signal; None when the context is left."""
        while number := os.read(self._woken, 1):
            if number[0] in SIGNALS and self._resent:
                self._resent -= 1
            elif number[0] in SIGNALS:
                return signal.Signals(number[0]).name
        os.close(self._woken)
        return None

    def _end_later(self, name: str) -> None:
        if not self._over.wait(SECONDS):
            self._end(name)

    def _end(self, name: str) -> None:
        with suppress(Exception):
            self._say(name)
        os._exit(self.exit_code)


def _is_decoding(frame: FrameType | None) -> bool:
    """Whether a decoder is at work in a frame or in one that called it, as this handler may have been interrupted."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("encodings."):
            return True
        frame = frame.f_back
    return False
