"""A service that gets events of OpenLineage over HTTP, and the schemas that they must follow."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from referencing import Registry, Resource

from tests.support.paths import ROOT

Answer = Literal["accept", "refuse", "never", "drip", "redirect"]
Event = dict[str, Any]
SCHEMAS = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "tests" / "support" / "openlineage").glob("*.json"))
]
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS
)
DRIP_SECONDS = 0.5  # between two bytes of an answer that does not end


def check(value: Any) -> None:
    """Check an event, and each facet in it, by the schema that it names."""
    named = value.get("_schemaURL", value.get("schemaURL")) if isinstance(value, dict) else None
    if named is not None:
        Draft202012Validator({"$ref": named}, registry=REGISTRY, format_checker=FormatChecker()).validate(value)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check(part)


class LineageService(ThreadingHTTPServer):
    """Keeps the events that it gets, and the headers of the last request; `answer` is what it does with each."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        """Listen on a free port of this machine."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Answer = answer
        self.events: list[Event] = []
        self.headers: dict[str, str] = {}

    def handle_error(self, *_: object) -> None:
        """Keep quiet about clients that have gone away."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        taken, self.events = self.events, []
        return taken


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: LineageService

    def do_POST(self) -> None:
        """Take an event."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.server.answer:
            case "accept":
                assert self.path == "/api/v1/lineage"
                self.server.headers = dict(self.headers)
                self.server.events.append(json.loads(body))
                self.send_response(201)
                self.end_headers()
            case "refuse":
                self.send_error(500)
            case "redirect":
                self.send_response(307)
                self.send_header("Location", self.path)
                self.end_headers()
            case "never":
                time.sleep(60)
            case "drip":
                with suppress(OSError):
                    while True:
                        self.wfile.write(b"H")
                        time.sleep(DRIP_SECONDS)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve(answer: Answer = "accept", certificate: tuple[Path, Path] | None = None) -> Iterator[LineageService]:
    """Serve while the context lasts, over TLS if there is a certificate with its key."""
    with LineageService(answer) as service:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            service.socket = context.wrap_socket(service.socket, server_side=True)
        thread = Thread(target=service.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
