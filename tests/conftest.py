"""Real servers for the tests: Postgres with a database for each test, and S3 over HTTP."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.odd_s3 import OddS3
from tests.support.postgres import new_database, new_server
from tests.support.servers import Server

# Doctests are collected from everything else; a tool may need what only its own target installs.
collect_ignore = ["tools"]

# `make test-slow` draws six times as many examples of the laws that need no database.
settings.register_profile(
    "default",
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=300)
settings.load_profile("default")

for name in ("LAKE_URL", "DATABASE_URL", "AWS_ENDPOINT_URL", "AWS_PROFILE", "PGHOST", "PGDATABASE", "PGUSER"):
    os.environ.pop(name, None)

# Programs that a test starts fail if they use the locale's encoding for text; with `make test`, so does pytest itself.
os.environ["PYTHONWARNDEFAULTENCODING"] = "1"
OTHERS = ("botocore.configloader", "botocore.utils")
os.environ["PYTHONWARNINGS"] = ",".join(["error::EncodingWarning", *(f"ignore::EncodingWarning:{it}" for it in OTHERS)])

# The JVMs of Spark live for seconds here: what their best compiler saves, it does not earn back.
os.environ["JDK_JAVA_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """The URI of an empty database for the role `etl`."""
    with new_database(server) as uri:
        yield uri


@pytest.fixture(scope="session")
def botocore_models() -> Iterator[None]:
    """Read the files of botocore itself once for all clients of this test process: most of what a client costs."""
    from botocore.loaders import JSONFileLoader

    load_file = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load_file(path))
        yield


@pytest.fixture(scope="session")
def aws_endpoint(botocore_models: None) -> Iterator[str]:  # noqa: ARG001
    """The endpoint of a server over HTTP that acts as AWS, for this test process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The endpoint of an S3 server over HTTP that holds the bucket `events`, empty."""
    import boto3
    from moto.moto_api._internal.models import moto_api_backend

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    place = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3").create_bucket(Bucket="events", CreateBucketConfiguration=place)  # type: ignore[arg-type]
    yield aws_endpoint
    moto_api_backend.reset()


@pytest.fixture
def odd(botocore_models: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OddS3]:  # noqa: ARG001
    """An S3 that the settings name, with credentials from the environment and nowhere else."""
    with closing(OddS3()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OLD")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_SESSION_TOKEN", "AWS_REQUEST_PAYER"):
            monkeypatch.delenv(name, raising=False)
        yield server


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)  # shutil would recurse


@pytest.fixture(scope="module")
def own_server() -> Iterator[tuple[str, Server]]:
    """The URI of a database on a server that may be killed."""
    with new_server() as (uri, home):
        yield uri, Server(home)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URI of a database on a Postgres server of this test process."""
    with new_server() as (uri, _):
        yield uri
