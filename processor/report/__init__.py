"""The report: a page and a picture, made from the BI tables."""
