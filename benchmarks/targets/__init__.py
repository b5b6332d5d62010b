"""The shared target distributions."""
