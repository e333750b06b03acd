"""The events of OpenLineage, made and sent by its client."""

import logging
import platform
from collections.abc import Iterator
from importlib.metadata import version

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    processing_engine_run,
    schema_dataset,
)
from openlineage.client.generated.base import RunFacet
from openlineage.client.naming.dataset import S3, DatasetNaming, LocalFileSystem, Postgres
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

from processor.output.lineage_facts import EventFacts, LineageTarget, RunEnd, RunFacts

PRODUCER = "pkg:generic/event-lake"
NO_RETRY = {"total": 0}
SILENT_HANDLER = logging.NullHandler()


def send_event(target: LineageTarget, facts: EventFacts, seconds: float) -> str | None:
    """Send an event; return why that was not possible, in words that hold no secret.

    target: where it goes. facts: what it says. seconds: how long the service may take to connect, and then to answer.
    """
    logging.getLogger("openlineage").addHandler(SILENT_HANDLER)  # without a handler it logs to standard error
    try:
        auth = ApiKeyTokenProvider({"api_key": target.key}) if target.key else TokenProvider({})
        config = HttpConfig(target.url, timeout=seconds, auth=auth, retry=NO_RETRY)
        HttpTransport(config).emit(make_event(target.namespace, facts))
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the run continues
        status = getattr(getattr(error, "response", None), "status_code", None)
        return f"HTTP {status}" if status else type(error).__name__
    return None


def make_event(namespace: str, facts: EventFacts) -> RunEvent:
    """Return an event; `namespace` is that of the job."""
    at, run, end = facts
    return RunEvent(
        eventType=_find_state(end),
        eventTime=at.isoformat(timespec="milliseconds"),
        producer=PRODUCER,
        run=Run(str(run.run_id), dict(_describe_run(end))),
        job=Job(namespace, run.job, {"jobType": _describe_job(run)}),
        inputs=[] if end is None else list(_describe_inputs(run.lake_url, end)),
        outputs=list(_describe_outputs(run)),
    )


def _find_state(end: RunEnd | None) -> RunState:
    if end is None:
        return RunState.START
    return RunState.COMPLETE if end.error is None else RunState.FAIL


def _describe_run(end: RunEnd | None) -> Iterator[tuple[str, RunFacet]]:
    yield (
        "processing_engine",
        processing_engine_run.ProcessingEngineRunFacet(
            version=platform.python_version(),
            name="Python",
            openlineageAdapterVersion=version("openlineage-python"),
            producer=PRODUCER,
        ),
    )
    if end is not None and end.error is not None:
        yield "errorMessage", error_message_run.ErrorMessageRunFacet(end.error, "Python", producer=PRODUCER)


def _describe_job(run: RunFacts) -> job_type_job.JobTypeJobFacet:
    kind = "SERVICE" if run.stays_up else "BATCH"
    return job_type_job.JobTypeJobFacet(kind, "EVENT_LAKE", "COMMAND", producer=PRODUCER)


def _describe_inputs(lake_url: str, end: RunEnd) -> Iterator[InputDataset]:
    """Yield the lake, with the sums over all files that the run ingested, and then the files that the event names."""
    if not end.all_files.files:
        return
    for inputs in (end.all_files, *end.files):
        name = name_input(lake_url, inputs.key)
        statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            inputs.lines, inputs.size, inputs.files, producer=PRODUCER
        )
        yield InputDataset(name.get_namespace(), name.get_name(), {"inputStatistics": statistics})


def _describe_outputs(run: RunFacts) -> Iterator[OutputDataset]:
    for table, columns in run.tables.items():
        name = Postgres(run.place.host, run.place.port, run.place.database, "public", table)
        fields = [
            schema_dataset.SchemaDatasetFacetFields(column["name"], column["type"], column["comment"], number)
            for number, column in enumerate(columns, start=1)
        ]
        schema = schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)
        yield OutputDataset(name.get_namespace(), name.get_name(), facets={"schema": schema})


def name_input(lake_url: str, key: str) -> DatasetNaming:
    """Return what OpenLineage calls a lake file, or the lake itself if `key` is empty."""
    if lake_url.startswith("s3://"):
        bucket, _, prefix = lake_url.removeprefix("s3://").partition("/")
        return S3(bucket, f"{prefix}{key}" if key else prefix.rstrip("/") or "/")
    return LocalFileSystem(f"{lake_url.rstrip('/')}/{key}" if key else lake_url)
