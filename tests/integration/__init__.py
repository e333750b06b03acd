"""Tests with a database, or with a server of S3 or SQS."""
