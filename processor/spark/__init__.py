"""The same port on Apache Spark."""
