"""What the tests share: servers, oracles, strategies, made lakes."""
