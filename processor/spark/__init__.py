"""Reducing on Apache Spark: an implementation of the port `processor.reducing.reducer`."""
