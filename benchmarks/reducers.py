"""The reducers alone: reduces a lake with one worker process for each core, and discards the partials.

python -m benchmarks.reducers LAKE
"""

import sys

from processor.command_line.read_settings import count_cores
from processor.lake.open_lake import open_lake
from processor.reducing.process_pool import open_local_reducer


def main() -> None:
    """Reduce every file of a lake."""
    lake = open_lake(sys.argv[1])
    files = sorted(lake.list_files())
    with open_local_reducer(lake, files, count_cores()) as reducer:
        for file in files:
            for _ in reducer.results(file):
                pass


if __name__ == "__main__":
    main()
