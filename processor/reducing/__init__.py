"""Reducing the files of a lake: the port, in this process, and in a pool of processes."""
