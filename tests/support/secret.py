"""A password that no output may show."""

SECRET = "h1dden"
