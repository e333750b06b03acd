"""The tests mirror the packages of the program; `strategies` draws their input, and `oracle` defines what is right."""
