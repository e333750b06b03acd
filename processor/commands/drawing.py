"""Draws the report after a run, where it does not show the present state."""

from pathlib import Path

from processor.output.console import Console
from processor.report.figure_process import Painter
from state.store import Store

PAGE, PICTURE = Path("report", "index.html"), Path("report", "click_through_rate.png")


def draw(store: Store, console: Console, painter: Painter) -> None:
    """Draw the picture and the page where they show another state; that they cannot be written fails no run."""
    from processor.report import page
    from processor.report import page_data as overview
    from processor.report.summary import write

    try:
        state = store.reads.report_state()
        if page.state_of(PAGE) == state and PICTURE.exists() and PICTURE.with_suffix(".svg").exists():
            return
        seen = overview.read(store.reads)
        with painter.drawing(seen.summary, PICTURE):
            html = page.html(seen)
        write(PAGE, html.encode())  # the last one, as it says what both show
    except OSError as error:
        console.error(f"the report in {PAGE.parent} cannot be written ({error.strerror}); make its folder writable")


def redraw(store: Store, console: Console) -> None:
    """Draw as `draw` does, by a painter of its own."""
    with Painter() as painter:
        draw(store, console, painter)
