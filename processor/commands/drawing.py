"""Draw the report after a run, unless it already shows the present state."""

from pathlib import Path

from processor.output.console import Console
from processor.report.figure_process import FigureProcess
from state.store import Store

PAGE, PICTURE = Path("report", "index.html"), Path("report", "click_through_rate.png")


def draw(store: Store, console: Console, figure_process: FigureProcess) -> None:
    """Draw the picture and the page unless they show the present state.

    A run does not fail if they cannot be written; the console then names the error.
    """
    from processor.report import page, page_data
    from processor.report.summary import write_file

    try:
        state = store.reads.report_state()
        if page.read_page_state(PAGE) == state and PICTURE.exists() and PICTURE.with_suffix(".svg").exists():
            return
        overview = page_data.read_overview(store.reads)
        with figure_process.drawing(overview.summary, PICTURE):
            html = page.render_page(overview)
        write_file(PAGE, html.encode())  # last, since its state stands for both
    except OSError as error:
        console.error(f"the report in {PAGE.parent} cannot be written ({error.strerror}); make its folder writable")


def redraw(store: Store, console: Console) -> None:
    """Draw as `draw` does, in a figure process of its own."""
    with FigureProcess() as figure_process:
        draw(store, console, figure_process)
