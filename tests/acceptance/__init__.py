"""Tests of the whole program, as processes."""
