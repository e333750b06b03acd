"""The way of the data: a lake's files become events, events become partials, partials become tables."""
