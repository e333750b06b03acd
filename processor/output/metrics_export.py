"""Where metrics go: a port to be scraped, a Pushgateway, or a text file for node_exporter's textfile collector."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from processor.environment import decode_utf8, encode_utf8
from processor.errors import WRONG_SETTING, EventLakeError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

JOB = "event_lake"
GATEWAY_SECONDS = 5.0  # how long a gateway that does not answer may delay the end of a run
_ADDRESS = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):)?([0-9]{1,5})")


class MetricsError(EventLakeError):
    """The metrics cannot be exported; the message is one line that says what to do."""


class MetricsSettingError(MetricsError):
    """`METRICS` is wrong."""

    exit_code = WRONG_SETTING


class Address(NamedTuple):
    """A port that Prometheus scrapes; on this machine only, unless the setting names a host."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Pushgateway, with its URL apart from the user and the password."""

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class TextFile(NamedTuple):
    """A file in the folder of node_exporter's textfile collector."""

    path: Path


Target = Address | Gateway | TextFile


def parse_target(text: str) -> Target:
    """Return what `METRICS` names: PORT or HOST:PORT, the URL of a Pushgateway, or a file.

    Raises MetricsSettingError, whose message does not repeat the text, as it may be a URL with a password.
    """
    address = _ADDRESS.fullmatch(text)
    if address:
        host, port = (address[1] or "127.0.0.1").strip("[]"), int(address[2])
        if not 0 < port < 65536:
            raise MetricsSettingError("METRICS must name a port between 1 and 65535, such as 9109 or 0.0.0.0:9109")
        return Address(host, port)
    if "://" in text:
        try:
            parts = urlsplit(text)
            is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            is_valid = False
        # An @ in the path may follow the rest of a password that has an unescaped /.
        if not is_valid or "@" in parts.path or parts.query or parts.fragment or not text.isprintable() or " " in text:
            raise MetricsSettingError("METRICS must be the URL of a Pushgateway, such as http://host:9091")
        user, password = (part if part is None else unquote(part) for part in (parts.username, parts.password))
        return Gateway(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), user, password)
    if not text.endswith(".prom") or "\0" in text:
        raise MetricsSettingError(
            "METRICS must be PORT, HOST:PORT, an http:// URL or a file that node_exporter reads: end its name in .prom"
        )
    return TextFile(Path(os.fsdecode(encode_utf8(text))))


def export(target: Gateway | TextFile, registry: "CollectorRegistry") -> None:
    """Push the metrics or write their file; metrics that are not known stay there as they were. Raises MetricsError."""
    if isinstance(target, Gateway):
        _push(target, registry)
    else:
        _write(target.path, registry)


@contextmanager
def serve(address: Address, registry: "CollectorRegistry") -> Iterator[None]:
    """Let Prometheus scrape the metrics while the context lasts; raises MetricsError."""
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(address.port, address.host, registry)
    except (OSError, ValueError) as error:  # ValueError: the host cannot be a name
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MetricsError(
            f"the metrics cannot be served on {address.host}:{address.port} ({reason}); name another address in METRICS"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _push(gateway: Gateway, registry: "CollectorRegistry") -> None:
    from functools import partial
    from http.client import HTTPException

    from prometheus_client import pushadd_to_gateway
    from prometheus_client.exposition import basic_auth_handler

    handler = partial(basic_auth_handler, username=gateway.user, password=gateway.password)
    try:
        pushadd_to_gateway(gateway.url, JOB, registry, timeout=GATEWAY_SECONDS, handler=handler)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: the host cannot be a name
        cause = getattr(error, "reason", error)
        reason = getattr(error, "code", None) or getattr(cause, "strerror", None) or type(cause).__name__
        raise MetricsError(
            f"the metrics cannot be pushed to {gateway.url} ({reason}); look at METRICS and at the Pushgateway"
        ) from error


def _write(path: Path, registry: "CollectorRegistry") -> None:
    from prometheus_client import write_to_textfile

    try:
        write_to_textfile(str(path), _MergedRegistry(registry, path))
    except OSError as error:
        name = decode_utf8(os.fsencode(path))
        raise MetricsError(
            f"the metrics cannot be written to {name} ({error.strerror}); make its folder, and make it writable"
        ) from error


class _MergedRegistry:
    """The metrics of a registry, and those of a file that the registry does not know."""

    def __init__(self, registry: "CollectorRegistry", path: Path) -> None:
        self._registry, self._path = registry, path

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client.parser import text_string_to_metric_families

        families = list(self._registry.collect())
        yield from families
        known = {family.name for family in families}
        try:
            earlier = list(text_string_to_metric_families(self._path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):  # there is none yet, or it is another program's, which is replaced
            return
        yield from (family for family in earlier if family.name not in known and family.name.startswith(f"{JOB}_"))
