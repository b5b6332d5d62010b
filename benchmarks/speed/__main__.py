"""`python -m benchmarks.speed` is `pushforward speed`."""

import sys

from benchmarks.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["speed"]
    main()
