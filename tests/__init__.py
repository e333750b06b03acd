"""The tests mirror the rooms of the program; `strategies` draws their input, and `oracle` defines what is right."""
