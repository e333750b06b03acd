"""Benchmarks against the scripts that an expert would write instead; `make bench` runs them."""
