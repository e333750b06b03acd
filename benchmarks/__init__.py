"""Benchmarks against what an expert would write instead; run by `make bench`."""
