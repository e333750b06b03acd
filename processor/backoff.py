"""What is away for a while is told once, waited for longer each time, and told once when it is back."""

import random
import time
from collections.abc import Callable

FIRST, MOST = 0.5, 30.0


class Outage:
    """Whether something that is relied on is away, and for how long to leave it alone."""

    def __init__(self, warn: Callable[[str], None], back: str) -> None:
        """Nothing is away; `warn` gets a line when something is, and the line `back` when it is back."""
        self._warn, self._back = warn, back
        self._pause: float | None = None

    def tell(self, line: str) -> None:
        """Say what is away, unless that was said."""
        if self._pause is None:
            self._pause = FIRST
            self._warn(line)

    def pause(self, most: float = MOST) -> None:
        """Leave it alone for longer than the last time, but for no more than so many seconds."""
        pause = self._pause or FIRST
        self._pause = min(2 * pause, MOST)
        time.sleep(min(pause * random.uniform(0.5, 1), most))  # noqa: S311 so that many do not come back at once

    def over(self) -> None:
        """All that was asked for was given."""
        if self._pause is not None:
            self._pause = None
            self._warn(self._back)
