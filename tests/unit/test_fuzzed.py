"""The checks of the fuzz target, on its seeds and on inputs that it found."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support import fuzzed, oracle


def test_every_seed_is_what_the_oracle_says() -> None:
    for seed in fuzzed.seeds():
        fuzzed.check(seed)


@given(st.sampled_from(sorted(fuzzed.seeds())), st.data())
def test_a_seed_with_bytes_changed_is_what_the_oracle_says(seed: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(seed)))
    new = data.draw(st.binary(max_size=3) | st.sampled_from(sorted(fuzzed.words())))
    fuzzed.check(seed[:at] + new + seed[at + data.draw(st.integers(0, 3)) :])


def test_the_seeds_reach_every_reason_and_every_kind_of_file() -> None:
    found: Counter[str] = Counter()
    for seed in fuzzed.seeds():
        if fuzzed.CHECKS[seed[0]] is fuzzed.check_file:
            stored, file = fuzzed.storage(seed[2], fuzzed.lengthened(seed[3:]))
            try:
                reading = oracle.read_file(stored, file.key)
            except oracle.Unreadable:
                found["unreadable"] += 1
            else:
                found["events"] += len(reading.events)
                found["empty"] += reading.empty
                found.update(bad.reason for bad in reading.rejected)
    assert found.keys() >= {"unreadable", "events", "empty", "bad_attributes", "nul_in_text", "invalid_utf8"}
