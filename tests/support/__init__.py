"""Modules that tests share: servers, the oracle, strategies, made lakes."""
