"""The reducers alone: reads a lake with as many workers as there are cores, and lets what they say go.

python -m benchmarks.reducers LAKE
"""

import sys

from processor.cli import cores
from processor.lake.location import lake_at
from processor.reducers.fold import CHUNK
from processor.reducing.process_pool import Pool


def main() -> None:
    """Reduce every file of a lake."""
    lake = lake_at(sys.argv[1])
    files = sorted(lake.files())
    with Pool(lake, files, CHUNK, cores()) as pool:
        for file in files:
            for _ in pool.results(file):
                pass


if __name__ == "__main__":
    main()
