"""The page and the picture, from the BI tables."""
