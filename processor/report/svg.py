"""SVG elements, and the colours that charts have in both themes."""

import re
from xml.etree.ElementTree import Element, SubElement, tostring

# Blue and vermilion of the Okabe-Ito palette, which colour-blind readers can tell apart, first among the lines.
LIGHT = {
    "page": "#f5f6f8",
    "card": "#ffffff",
    "ink": "#1c2430",
    "soft": "#5a6575",
    "rule": "#e2e6ec",
    "bar": "#b4bcc8",
    "rate": "#0067a8",
    "interval": "#a9d0ea",
    "all": "#c2500a",
    "bad": "#b3261e",
    "c1": "#0067a8",
    "c2": "#c2500a",
    "c3": "#00805f",
    "c4": "#a3457d",
    "c5": "#8a6d00",
    "c6": "#5b5bd6",
}
DARK = {
    "page": "#11151b",
    "card": "#1a2029",
    "ink": "#e6eaf0",
    "soft": "#a0abba",
    "rule": "#2e3744",
    "bar": "#5a6779",
    "rate": "#5bb4f0",
    "interval": "#24577d",
    "all": "#f2925b",
    "bad": "#ff8a80",
    "c1": "#5bb4f0",
    "c2": "#f2925b",
    "c3": "#4cc9a0",
    "c4": "#e48bc0",
    "c5": "#dcc04a",
    "c6": "#a9a6ff",
}
STYLE = """\
.chart text { font-size: 11px; fill: var(--soft); }
.chart .value { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
.chart .middle { text-anchor: middle; }
.chart .end { text-anchor: end; }
.chart path, .chart polyline { fill: none; }
.chart .grid { stroke: var(--rule); }
.chart .axis { stroke: var(--bar); }
.chart .bars { stroke: var(--bar); }
.chart .interval { stroke: var(--interval); }
.chart .all { stroke: var(--all); stroke-width: 1.2px; stroke-dasharray: 5 3; }
.chart .line { stroke: var(--rate); stroke-width: 1.4px; stroke-linejoin: round; }
.chart .point { fill: var(--rate); stroke: var(--rate); stroke-width: 1.2px; }
.chart .thin { fill: var(--card); }
.chart .hit { fill: none; pointer-events: all; }
"""
for _number in range(1, 7):
    STYLE += f".chart .s{_number} {{ stroke: var(--c{_number}); stroke-width: 2px; }}\n"
    STYLE += f".chart .d{_number}, .chart text.d{_number} {{ fill: var(--c{_number}); }}\n"


def fill_in_colors(style: str) -> str:
    """Return a style sheet with the light theme's colours in place of variables, which few SVG viewers know."""
    return re.sub(r"var\(--(\w+)\)", lambda match: LIGHT[match[1]], style)


def make_svg(width: float, height: float, description: str = "") -> Element:
    """Return an empty chart.

    width, height: in pixels. description: what a screen reader reads out; if empty, it passes over the chart.
    """
    svg = Element("svg", {"class": "chart", "viewBox": f"0 0 {format_number(width)} {format_number(height)}"})
    svg.attrib |= {"role": "img", "aria-label": description} if description else {"aria-hidden": "true"}
    return svg


def add(parent: Element, tag: str, text: str | None = None, /, **attributes: str | float) -> Element:
    """Add an element to another and return it.

    parent: the other. tag: its name. text: what it holds. attributes: underscores in their names stand for hyphens;
    one at the end, as in `class_`, is dropped.
    """
    made = SubElement(
        parent,
        tag,
        {
            name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else format_number(value)
            for name, value in attributes.items()
        },
    )
    made.text = text
    return made


def format_number(number: float) -> str:
    """Return a number of pixels, to a tenth."""
    return f"{number:.1f}".removesuffix(".0")


def to_text(element: Element) -> str:
    """Return an element as SVG text."""
    return tostring(element, encoding="unicode")
