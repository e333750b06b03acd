"""Who reduces the files of a lake: the port, and the pool of processes behind it."""
