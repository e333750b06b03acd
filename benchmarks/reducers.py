"""The reducers alone: reduces a lake with one worker process for each core, and discards the partials.

python -m benchmarks.reducers LAKE
"""

import sys

from processor.cli import cores
from processor.lake.location import open_lake
from processor.reducers.fold import CHUNK
from processor.reducing.process_pool import Pool


def main() -> None:
    """Reduce every file of a lake."""
    lake = open_lake(sys.argv[1])
    files = sorted(lake.list_files())
    with Pool(lake, files, CHUNK, cores()) as pool:
        for file in files:
            for _ in pool.results(file):
                pass


if __name__ == "__main__":
    main()
