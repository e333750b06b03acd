"""What is kept in Postgres: results, reducer state and checkpoint, in one transaction for each file."""
