"""Longer tests that run by themselves: soak, fuzz, mutants."""
