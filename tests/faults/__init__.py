"""Faults done for real: `make faults` is the whole campaign, the tests here are its short form."""
