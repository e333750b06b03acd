"""What commands get: settings, console and signals; those that take the run lock also get the run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from processor.command_line.settings import Settings
from processor.errors import FailedError
from processor.lake.base import Lake
from processor.lake.open_lake import open_lake
from processor.listener import Listener
from processor.output.run_output import RunOutput
from processor.plan import Plan
from processor.reducing.reducer import OpenReducer
from processor.run_tally import RunTally
from processor.signals import Signals
from state import embedded
from state.read_only_database import ReadOnlyDatabase
from state.reads import Reads
from state.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    """What every command gets."""

    settings: Settings
    console: RunOutput
    signals: Signals

    def open_lake(self) -> Lake:
        """Return the lake that the settings name; raises LakeSettingError."""
        return open_lake(self.settings.lake_url, self.settings.lake_settings)

    @contextmanager
    def serve_database(self, lake: Lake | None, make: bool) -> Iterator[str]:
        """Yield the URL of the database that the settings name; if they name none, an embedded server is up meanwhile.

        lake: the lake whose database an embedded server has; None raises FailedError there. make: whether to make that
        database if it is missing; otherwise that raises NoDatabaseError. Raises EmbeddedError.
        """
        if not self.settings.is_embedded:
            yield self.settings.database_url
            return
        if lake is None:
            raise FailedError("the embedded server has a database for each lake: name the lake first")
        with embedded.open_server(lake.url, make=make) as url:
            yield url

    @contextmanager
    def open_reads(self, lake: Lake) -> Iterator[Reads]:
        """Open the database to read it only, whatever run is at work; raises DatabaseError, EmbeddedError.

        It raises UnusedDatabaseError or NoDatabaseError if nothing was ingested yet.
        """
        with self.serve_database(lake, make=False) as url:
            database = ReadOnlyDatabase(url, self.settings.wait_seconds, self.console.warn)
            self.signals.call_on_signal(database.cancel)
            with database:
                database.check_lake(lake.url, self.settings.is_relocated)
                yield Reads(database)


@dataclass(frozen=True, slots=True)
class RunContext(Context):
    """What a command gets that takes the run lock.

    store: the database, whose lock is held and whose run is recorded. tally: what the run did, which the history of
    runs keeps. listener: is informed of the run, and informs the tally, the console, the metrics and the lineage.
    record_turn: called by a watch with the seconds that a turn took.
    """

    lake: Lake
    store: Store
    tally: RunTally
    listener: Listener
    open_reducer: OpenReducer
    record_turn: Callable[[float], None]

    @property
    def plan(self) -> Plan:
        """What the settings plan for the run."""
        settings = self.settings
        return Plan(
            prunes=settings.prunes,
            prunes_all=settings.prunes_all,
            open_reducer=self.open_reducer,
            limits=settings.batch_limits,
            selection=settings.selection,
            recounts=settings.recounts,
        )
