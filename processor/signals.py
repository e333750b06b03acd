"""Ends a run within seconds of SIGTERM or SIGINT, whatever it is doing."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from types import FrameType
from typing import Self

from state.errors import FAILED

HANDLED = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 8.0
# `timeout` of coreutils signals the process and then its group, so the process gets the same signal twice.
REPEAT_SECONDS = 0.5
RESEND_SECONDS = 0.001


class StopRequest(BaseException):
    """A signal asks the run to stop; the message is its name. The database rolls back the open transaction."""


class Signals:
    """A context of the main thread that turns the first SIGTERM or SIGINT into a StopRequest.

    Python runs a signal handler only between two bytecodes of the main thread, so a second thread watches for signals,
    too. It calls the functions that `call_on_signal` got, which interrupt the main thread. It ends the process if the
    context lasts GRACE_SECONDS longer, or at a second signal more than REPEAT_SECONDS after the first: the database
    rolls back what was not committed. After the context, signals are ignored, as the run is over.
    """

    def __init__(self, report: Callable[[str], int]) -> None:
        """Prepare the context.

        report: called by the watching thread with the signal's name before it ends the process; returns the exit code.
        """
        self._report = report
        self._calls: list[Callable[[], None]] = []
        self._raised = False
        # Unlike other queues and events, this one may be used where a handler interrupted its own method.
        self._missed: SimpleQueue[signal.Signals | None] = SimpleQueue()
        self._resent = 0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Start to handle the signals."""
        self._wakeup_reader, self._wakeup_writer = os.pipe()
        os.set_blocking(self._wakeup_writer, False)
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._restore_defaults)
        threading.Thread(target=self._watch, daemon=True, name="signals").start()
        threading.Thread(target=self._resend_missed, daemon=True, name="missed signals").start()
        for number in HANDLED:
            signal.signal(number, self._raise)
        self._unraisable_hook, sys.unraisablehook = sys.unraisablehook, self._raise_again
        return self

    def __exit__(self, *_: object) -> None:
        """Ignore the signals from now on."""
        for number in HANDLED:
            signal.signal(number, signal.SIG_IGN)
        self._over.set()
        self._missed.put(None)
        sys.unraisablehook = self._unraisable_hook
        signal.set_wakeup_fd(-1)
        os.close(self._wakeup_writer)

    def call_on_signal(self, call: Callable[[], None]) -> None:
        """Call this from another thread at the first signal."""
        self._calls.append(call)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._raised:
            return
        if self._is_swallowed(frame):
            self._missed.put(signal.Signals(number))
            return
        self._raised = True
        raise StopRequest(signal.Signals(number).name)

    def _is_swallowed(self, frame: FrameType | None) -> bool:
        """Whether something swallows an exception that is raised in a frame.

        psycopg2 does while a Python codec decodes the server's answer to a cancelled statement, and Python does while
        it reports that it swallowed one.
        """
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("encodings."):
                return True
            if frame.f_code is self._raise_again.__code__:
                return True
            frame = frame.f_back
        return False

    def _raise_again(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Raise a StopRequest again if Python swallowed it, as it does in `__del__` and weak reference callbacks."""
        if isinstance(unraisable.exc_value, StopRequest):
            self._raised = False
            self._missed.put(signal.Signals[str(unraisable.exc_value)])
        else:
            self._unraisable_hook(unraisable)

    def _resend_missed(self) -> None:
        while (number := self._missed.get()) is not None:
            time.sleep(RESEND_SECONDS)
            self._resent += 1
            # This also wakes the main thread if it waits in C code by now.
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    def _restore_defaults(self) -> None:
        """In a forked child, let the signals end the process again."""
        if not self._over.is_set():
            signal.set_wakeup_fd(-1)
            for number in HANDLED:
                signal.signal(number, signal.SIG_DFL)

    def _watch(self) -> None:
        name = self._next_signal()
        if name is None:
            return
        begun = time.monotonic()
        threading.Thread(target=self._end_after_grace, args=(name,), daemon=True).start()
        for call in self._calls:
            call()
        while self._next_signal() is not None:
            if time.monotonic() >= begun + REPEAT_SECONDS:
                self._end(name)

    def _next_signal(self) -> str | None:
        """Wait for the next signal and return its name; None at the end of the context."""
        while number := os.read(self._wakeup_reader, 1):
            if number[0] in HANDLED and self._resent:
                self._resent -= 1
            elif number[0] in HANDLED:
                return signal.Signals(number[0]).name
        os.close(self._wakeup_reader)
        return None

    def _end_after_grace(self, name: str) -> None:
        if not self._over.wait(GRACE_SECONDS):
            self._end(name)

    def _end(self, name: str) -> None:
        exit_code = FAILED
        with suppress(Exception):
            exit_code = self._report(name)
        os._exit(exit_code)
