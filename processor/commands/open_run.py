"""Opens what a run needs: the database with the run lock held and the run recorded, and the reducer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from processor.commands.choose_reducer import choose_reducer
from processor.commands.context import Context
from processor.lake.base import Lake
from processor.reducing.reducer import OpenReducer
from processor.spark.application import SparkApplication
from state.database import Database
from state.errors import DatabaseSettingError
from state.run import Run, begin_run


@contextmanager
def open_run(context: Context, lake: Lake) -> Iterator[tuple[Run, OpenReducer]]:
    """Begin the run, with the lock of its database held, and give the function that opens the reducer.

    Parameters: `context` is what the command got, `lake` is the lake that it ingests.
    Raises DatabaseError, BusyError, EmbeddedError and SparkError.
    """
    settings = context.settings
    with ExitStack() as stack:
        spark = stack.enter_context(SparkApplication(settings.engine)) if settings.engine else None
        if settings.is_embedded and settings.is_relocated:
            raise DatabaseSettingError(
                "the embedded server has a database for each lake: name one in DATABASE_URL to relocate"
            )
        url = stack.enter_context(context.serve_database(lake, make=True))
        database = Database(url, settings.wait_seconds, context.console.warn, is_shared=settings.command.stays_up)
        context.signals.call_on_signal(database.cancel)
        stack.enter_context(database)
        run = stack.enter_context(
            begin_run(
                database,
                lake.url,
                settings.is_relocated,
                lambda: next(lake.list_files(), None),
                settings.command.name,
                lake.settings.definition.overrides(),
                settings.rebuilds,
            )
        )
        yield run, choose_reducer(settings.workers, spark, database)
