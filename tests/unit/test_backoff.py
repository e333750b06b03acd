"""What passes is tried again, later each time, and within limits."""

from itertools import islice, pairwise

import pytest

from processor.backoff import Backoff
from state.retry import ATTEMPTS, pauses, retry


class Clock:
    """Stands in for the module `time`: sleeping takes no time."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of both modules, without random pauses."""
    clock = Clock()
    monkeypatch.setattr("state.retry.time", clock)
    monkeypatch.setattr("processor.backoff.time", clock)
    monkeypatch.setattr("state.retry.random.uniform", lambda _, high: high)
    return clock


def failing(times: int, error: type[Exception] = OSError) -> "Attempts":
    return Attempts(times, error)


class Attempts:
    """Fails some times, and then returns how many attempts there were."""

    def __init__(self, failures: int, error: type[Exception]) -> None:
        self.made, self._failures, self._error = 0, failures, error

    def __call__(self) -> int:
        self.made += 1
        if self.made <= self._failures:
            raise self._error(self.made)
        return self.made


def passes(error: Exception) -> bool:
    return isinstance(error, OSError)


def test_each_pause_is_about_twice_as_long_up_to_the_longest() -> None:
    for first, longest in ((0.2, 10.0), (0.5, 30.0)):
        waits = list(islice(pauses(first, longest), 30))
        assert first / 2 <= waits[0] <= first
        assert all(after <= 4 * before for before, after in pairwise(waits))
        assert longest / 2 <= min(waits[10:])
        assert max(waits) <= longest


def test_errors_that_pass_are_retried(clock: Clock) -> None:
    errors = list[Exception]()
    assert retry(failing(ATTEMPTS - 1), passes, errors.append) == ATTEMPTS
    assert [error.args for error in errors] == [(1,), (2,), (3,), (4,)]
    assert clock.slept == [0.2, 0.4, 0.8, 1.6]


def test_the_last_attempt_raises_its_error(clock: Clock) -> None:
    with pytest.raises(OSError, match=str(ATTEMPTS)):
        retry(failing(ATTEMPTS), passes)
    assert len(clock.slept) == ATTEMPTS - 1


def test_lasting_errors_are_not_retried(clock: Clock) -> None:
    with pytest.raises(ValueError, match="1"):
        retry(failing(1, ValueError), passes)
    assert clock.slept == []


def test_attempts_end_with_the_time_for_them(clock: Clock) -> None:
    attempts = failing(1000)
    with pytest.raises(OSError, match=r"\d"):
        retry(attempts, passes, attempts=float("inf"), seconds=20, max_pause_seconds=3)
    assert clock.now == 20
    assert max(clock.slept) == 3
    assert attempts.made == len(clock.slept) + 1
    once = failing(1000)
    with pytest.raises(OSError, match="1"):
        retry(once, passes, attempts=float("inf"), seconds=0)
    assert once.made == 1


def test_an_outage_is_reported_once_and_its_end_too(clock: Clock) -> None:
    lines = list[str]()
    backoff = Backoff(lines.append, "back")
    backoff.end()
    for _ in range(2):
        for _ in range(3):
            backoff.report("away")
            backoff.wait()
        backoff.wait(0.1)
        backoff.end()
    assert lines == ["away", "back", "away", "back"]
    assert clock.slept == [0.5, 1, 2, 0.1] * 2
