"""The tests mirror the rooms; `strategies` draws the input, `oracle` says what is right."""
