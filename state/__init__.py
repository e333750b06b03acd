"""What Postgres keeps: the BI tables, the reducer state and the checkpoint, in one transaction for each batch."""
