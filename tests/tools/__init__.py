"""Longer tests, each with a target of its own: soak, fuzz, mutants."""
