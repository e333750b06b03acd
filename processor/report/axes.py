"""The plotting area of a chart: periods from left to right, values from zero upwards."""

import math
from collections.abc import Callable, Iterable, Sequence
from xml.etree.ElementTree import Element

from processor.report.svg import add, format_number

MAX_LABELLED = 7  # periods; up to this number, each period has its value written out
CHARACTER_PIXELS = 6.2  # the mean width of a character of a chart's texts
TICKS = (1, 2, 2.5, 5, 10)


class Axes:
    """Maps periods, by their position, and values to pixels, and draws into a chart.

    svg: the chart. left, right, top, bottom: the edges, in pixels of the chart. count: the number of periods.
    top_value: the value at the upper edge.
    """

    def __init__(
        self, svg: Element, left: float, right: float, top: float, bottom: float, count: int, top_value: float
    ) -> None:
        self.svg, self.left, self.right, self.top, self.bottom = svg, left, right, top, bottom
        self.count, self.top_value = count, top_value
        self.step = (right - left) / count

    def x(self, position: float) -> float:
        """Return the middle of a period."""
        return self.left + self.step * (position + 0.5)

    def y(self, value: float) -> float:
        """Return the height of a value; one above the scale lies at its upper edge."""
        return self.bottom - (self.bottom - self.top) * min(value / self.top_value, 1)

    def draw_scale(self, write: Callable[[float], str]) -> None:
        """Draw horizontal lines at round values, each with its label to the left."""
        for value in find_ticks(self.top_value):
            y = self.y(value)
            add(self.svg, "path", class_="grid", d=f"M{format_number(self.left)} {format_number(y)}H{self.right}")
            add(self.svg, "text", write(value), class_="end", x=self.left - 6, y=y + 4)

    def draw_periods(self, names: Sequence[str], y: float) -> None:
        """Draw the names of periods, as many as there is room for."""
        most = max(2, int((self.right - self.left) / (CHARACTER_PIXELS * max(map(len, names)) + 24)))
        every = 1 if self.count <= min(most, MAX_LABELLED) else math.ceil(self.count / most)
        for position in range(0, self.count, every):
            half = CHARACTER_PIXELS * len(names[position]) / 2
            x = self.x(position)
            if x + half > self.right + 8:
                add(self.svg, "text", names[position], class_="end", x=self.right + 8, y=y)
            else:
                add(self.svg, "text", names[position], class_="middle", x=max(x, half), y=y)

    def draw_bars(self, class_: str, spans: Iterable[tuple[int, float, float]], most: float) -> None:
        """Draw bars.

        class_: their class in the style sheet. spans: the position of each bar's period, and the values at its ends.
        most: how wide a bar may be, in pixels.
        """
        path = "".join(
            f"M{format_number(self.x(position))} {format_number(self.y(low))}V{format_number(self.y(high))}"
            for position, low, high in spans
        )
        add(self.svg, "path", class_=class_, d=path, stroke_width=min(most, max(1, 0.7 * self.step)))

    def draw_line(self, class_: str, values: Sequence[float]) -> None:
        """Draw a line through the values of all periods, with a gap at each NaN."""
        path, is_drawn = "", False
        for position, value in enumerate(values):
            if not math.isnan(value):
                command = "L" if is_drawn else "M"
                path += f"{command}{format_number(self.x(position))} {format_number(self.y(value))}"
            is_drawn = not math.isnan(value)
        add(self.svg, "path", class_=class_, d=path)

    def draw_value(self, position: int, y: float, text: str) -> None:
        """Draw the value of a period, inside of the chart.

        position: that of the period. y: the height of the text, in pixels. text: the value.
        """
        half = CHARACTER_PIXELS * len(text) / 2
        x = min(max(self.x(position), self.left + half), self.right + 8 - half)
        add(self.svg, "text", text, class_="value middle", x=x, y=y)

    def find_heights(self, values: Sequence[float], position: int, text: str) -> list[float]:
        """Return the heights of a line where the text of a period begins, is in the middle, and ends.

        values: those of the line, NaN for a gap. position: that of the period. text: what `draw_value` writes.
        """
        half = CHARACTER_PIXELS * len(text) / 2 / self.step
        heights = []
        for beside, share in ((position - 1, half), (position, 0), (position + 1, half)):
            if 0 <= beside < len(values):
                value = values[position] + (values[beside] - values[position]) * min(share, 1)
                heights += [] if math.isnan(value) else [self.y(value)]
        return heights

    def add_titles(self, titles: Sequence[str], bottom: float) -> None:
        """Let a pointer over a period show its title, from the upper edge of the chart to `bottom`."""
        for position, title in enumerate(titles):
            x = self.x(position - 0.5)
            hit = add(self.svg, "rect", class_="hit", x=x, y=0, width=self.step, height=bottom)
            add(hit, "title", title)

    @property
    def point_radius(self) -> float:
        """Return the radius of a point, smaller where periods are many."""
        return min(3.6, max(1.4, 0.3 * self.step))


def find_ticks(top: float) -> list[float]:
    """Return the round values from zero to `top`, about four apart from zero."""
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = power * next(tick for tick in TICKS if tick * power >= top / 4 * 0.999)
    return [step * number for number in range(int(top / step * 1.001) + 1)]
