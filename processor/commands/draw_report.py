"""Draws the report after a run, unless it already shows the present state."""

from pathlib import Path

from processor.output.run_output import RunOutput
from state.store import Store

PAGE, PICTURE = Path("report", "index.html"), Path("report", "click_through_rate.png")


def draw_report(store: Store, console: RunOutput) -> None:
    """Draw the picture and the page unless they show the present state.

    A run does not fail if they cannot be written; the console then names the error.
    """
    from processor.report import page, page_data, picture
    from processor.report.atomic_file import write_file

    try:
        state = store.reads.report.read_report_state()
        svg_path = PICTURE.with_suffix(".svg")
        if page.read_page_state(PAGE) == state and PICTURE.exists() and svg_path.exists():
            return
        overview = page_data.read_overview(store.reads.report)
        svg = picture.draw_picture(overview.summary, overview.lake.timezone)
        write_file(svg_path, svg.encode())
        write_file(PICTURE, picture.render_png(svg))
        write_file(PAGE, page.render_page(overview).encode())  # last, since its state stands for all
    except OSError as error:
        console.error(f"the report in {PAGE.parent} cannot be written ({error.strerror}); make its folder writable")
