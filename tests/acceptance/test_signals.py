"""A signal ends a process within seconds, whatever it is doing, and nothing else."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from tests.support.paths import ROOT

# Prints the report of a signal, and then what the process did.
BEGIN = """
import ctypes, os, signal, sys, threading, time
from processor import signals
from processor.signals import Signals, StopRequest

def say(line):
    print(line, flush=True)

def hold():  # Python calls no signal handler here, as C code that waits is not interrupted
    lock, libc = ctypes.create_string_buffer(128), ctypes.CDLL(None)
    while True:
        libc.pthread_mutex_lock(lock)

def report(name):
    say(f"reported {name}")
    return 7

it = Signals(report)
"""
SIGNALS = [signal.SIGTERM, signal.SIGINT]
Script = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def script() -> Script:
    """A function that runs a script, sends a signal at each line "now", and returns its exit code and other lines."""

    def done(text: str, number: signal.Signals = signal.SIGTERM) -> tuple[int, list[str]]:
        command = [sys.executable, "-c", BEGIN + textwrap.dedent(text)]
        said = []
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        ) as going:
            try:
                assert going.stdout is not None
                for line in going.stdout:
                    if line == "now\n":
                        going.send_signal(number)
                    else:
                        said.append(line.rstrip())
                return going.wait(30), said
            finally:
                going.kill()

    return done


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_raised_once_with_its_name(number: signal.Signals, script: Script) -> None:
    text = """
    try:
        with it:
            try:
                say("now")
                time.sleep(20)
            except StopRequest as stopped:
                say(f"stopped by {stopped}")
                raise
    except StopRequest as stopped:
        say(f"left by {stopped}")
        sys.exit(1)
    """
    assert script(text, number) == (1, [f"stopped by {number.name}", f"left by {number.name}"])


def test_nothing_is_left_open(script: Script) -> None:
    text = """
    before = os.listdir("/proc/self/fd")
    with it:
        pass
    for _ in range(500):
        if os.listdir("/proc/self/fd") != before:
            time.sleep(0.01)
    say(os.listdir("/proc/self/fd") == before)
    """
    assert script(text) == (0, ["True"])


def test_a_late_signal_does_not_interrupt_the_end(script: Script) -> None:
    text = """
    with it:
        pass
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    time.sleep(0.2)
    say("continues")
    """
    assert script(text) == (0, ["continues"])


def test_a_signal_that_is_sent_twice_at_once_counts_once(script: Script) -> None:
    """`timeout` of coreutils signals the process and then its group."""
    text = """
    with it:
        try:
            say("now")
            time.sleep(20)
        except StopRequest:
            say("now")
            time.sleep(1)
            say("ends in order")
    """
    assert script(text) == (0, ["ends in order"])


def test_a_second_signal_ends_the_process(script: Script) -> None:
    text = """
    signals.REPEAT_SECONDS = 0
    with it:
        try:
            say("now")
            time.sleep(20)
        except StopRequest:
            say("now")
            time.sleep(20)
            say("too late")
    """
    assert script(text) == (7, ["reported SIGTERM"])


@pytest.mark.skipif(sys.platform != "linux", reason="a lock of C is held as Linux holds it")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_a_process_that_waits_in_c(number: signal.Signals, script: Script) -> None:
    text = """
    signals.REPEAT_SECONDS = 0
    with it:
        it.call_on_signal(lambda: say("broken off"))
        it.call_on_signal(lambda: say("now"))
        threading.Timer(0.1, say, ("now",)).start()
        hold()
    """
    assert script(text, number) == (7, ["broken off", f"reported {number.name}"])


@pytest.mark.skipif(sys.platform != "linux", reason="a lock of C is held as Linux holds it")
def test_a_process_that_waits_in_c_is_ended_after_a_while(script: Script) -> None:
    text = """
    signals.GRACE_SECONDS = 0.3
    with it:
        threading.Timer(0.1, say, ("now",)).start()
        hold()
    """
    assert script(text) == (7, ["reported SIGTERM"])


def test_the_calls_of_a_signal_interrupt_the_main_thread(script: Script) -> None:
    text = """
    woken = threading.Event()
    with it:
        it.call_on_signal(lambda: say(threading.current_thread() is threading.main_thread()))
        it.call_on_signal(woken.set)
        try:
            say("now")
            time.sleep(20)
        except StopRequest:
            say(woken.wait(10))
    """
    assert script(text) == (0, ["False", "True"])


def test_a_process_that_does_not_end_by_itself_is_ended(script: Script) -> None:
    text = """
    signals.GRACE_SECONDS = 0.3
    with it:
        try:
            say("now")
            time.sleep(20)
        except StopRequest:
            say("stopped")
            time.sleep(20)
            say("too late")
    """
    assert script(text) == (7, ["stopped", "reported SIGTERM"])


def test_a_process_that_ends_in_time_is_left_alone(script: Script) -> None:
    text = """
    signals.GRACE_SECONDS = 0.3
    try:
        with it:
            say("now")
            time.sleep(20)
    except StopRequest:
        time.sleep(0.6)
        say("has ended")
    """
    assert script(text) == (0, ["has ended"])


def test_a_process_is_ended_even_if_that_cannot_be_reported(script: Script) -> None:
    text = """
    signals.GRACE_SECONDS = 0.3
    it._report = None
    with it:
        try:
            say("now")
            time.sleep(20)
        except StopRequest:
            time.sleep(20)
    """
    assert script(text) == (1, [])


def test_signals_end_a_forked_child(script: Script) -> None:
    text = """
    with it:
        ready, begun = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(begun, b"x")
            time.sleep(20)
            os._exit(9)
        os.read(ready, 1)
        os.kill(pid, signal.SIGTERM)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        say("continues")
    pid = os.fork()
    if not pid:
        os._exit([signal.getsignal(number) for number in signals.HANDLED] != [signal.SIG_IGN] * 2)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert script(text) == (0, [str(-signal.SIGTERM), "continues", "0"])


def test_a_signal_that_a_decoder_would_swallow_is_sent_again(script: Script) -> None:
    """psycopg2 decodes with Python's `encodings`, and replaces errors there with its own."""
    code = """
    def decode(begin, resent, clock, end, swallow):
        try:
            begin()
            while not resent() and clock() < end:
                pass
        except BaseException:
            swallow()
    """
    text = f"""
    import functools, operator
    space = {{"__name__": "encodings.utf_8"}}
    exec({textwrap.dedent(code)!r}, space)
    begin = functools.partial(os.write, 1, b"now\\n")  # in C, as the signal must not interrupt another Python frame
    resent = functools.partial(operator.attrgetter("_resent"), it)
    with it:
        try:
            space["decode"](begin, resent, time.monotonic, time.monotonic() + 20, lambda: say("swallowed"))
            time.sleep(20)
        except StopRequest as stopped:
            say(f"stopped by {{stopped}}")
            time.sleep(0.6)
            say("now")  # a second signal is noticed, although the first was sent twice
            time.sleep(5)
            say("too late")
    """
    assert script(text) == (7, ["stopped by SIGTERM", "reported SIGTERM"])


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_python_swallows_is_sent_again(number: signal.Signals, script: Script) -> None:
    """Python prints exceptions in `__del__` with a traceback, and continues."""
    text = """
    class Tidied:
        def __del__(self):
            say("now")
            time.sleep(2)

    with it:
        begun = time.monotonic()
        try:
            del [Tidied()][0]
            time.sleep(20)
        except StopRequest as stopped:
            say(f"stopped by {stopped} {time.monotonic() - begun < 5}")
    """
    assert script(text, number) == (0, [f"stopped by {number.name} True"])


def test_a_signal_that_is_sent_again_at_once_is_not_swallowed_again(script: Script) -> None:
    """The signal arrives while Python still reports that it swallowed the first."""
    text = """
    from queue import SimpleQueue

    class SlowOnce(SimpleQueue):
        slow = True

        def put(self, item):
            super().put(item)
            if self.slow:
                self.slow = False
                time.sleep(0.5)

    class Tidied:
        def __del__(self):
            say("now")
            time.sleep(2)

    it._missed = SlowOnce()
    with it:
        try:
            del [Tidied()][0]
            time.sleep(20)
        except StopRequest as stopped:
            say(f"stopped by {stopped} {it._missed.slow}")
    """
    assert script(text) == (0, ["stopped by SIGTERM False"])


def test_other_unraisable_errors_are_printed_as_usual(script: Script) -> None:
    text = """
    class Broken:
        def __del__(self):
            raise ValueError("broken")

    with it:
        del [Broken()][0]
    """
    code, said = script(text)
    assert (code, said[-1]) == (0, "ValueError: broken")
