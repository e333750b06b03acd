"""The command line and the settings: what the user may ask for, read from options and the environment, and checked."""
