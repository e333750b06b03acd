"""Coverage-guided fuzzing of lines and files: `make fuzz`, or `python -m tests.tools.fuzz SECONDS`.

The corpus is kept in `.fuzz`; an input that fails is left there as `crash-...`, to become an example of
`tests/unit/test_fuzzed.py`.
"""

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["processor", "tests.support.oracle"]):
    from tests.support import fuzzed

FOLDER = Path(__file__).resolve().parent.parent / ".fuzz"


def main(seconds: str = "3600") -> None:
    """Fuzz for a number of seconds."""
    corpus, dictionary = FOLDER / "corpus", FOLDER / "dictionary"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in fuzzed.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    words = ("".join(f"\\x{byte:02x}" for byte in word) for word in fuzzed.words())
    dictionary.write_text("".join(f'"{word}"\n' for word in words), encoding="utf-8")
    options = [f"-dict={dictionary}", f"-artifact_prefix={FOLDER}/", f"-max_total_time={seconds}"]
    atheris.Setup([sys.argv[0], *options, "-max_len=4096", "-timeout=60", "-rss_limit_mb=2048", str(corpus)], one_input)
    atheris.Fuzz()


def one_input(data: bytes) -> None:
    """Check one input of the fuzzer."""
    fuzzed.check(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
