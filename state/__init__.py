"""What Postgres keeps: the BI tables, the contributions and the checkpoints, in one transaction for each batch."""
