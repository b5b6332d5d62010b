"""`python -m benchmarks` is the command `pushforward`."""

from benchmarks.cli import main

if __name__ == "__main__":
    main()
