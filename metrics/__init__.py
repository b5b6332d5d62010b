"""The scores, each with its error."""
