"""The harness: what is compared, where it runs, what is kept, what is shown."""
