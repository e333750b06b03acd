"""A small S3, with a queue, over HTTP; a test can change or refuse each of its answers."""

import hashlib
import json
import threading
import time
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable

OLD = datetime(2024, 1, 1, tzinfo=UTC)


class Object(NamedTuple):
    """An object of the bucket `lake`: its bytes, and when they were written."""

    data: bytes
    modified: datetime = OLD

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


class Request(NamedTuple):
    """A request: its kind, the key or the prefix, the headers in lower case, where a listing begins."""

    kind: str  # list, get, receive or delete
    key: str
    headers: dict[str, str]
    token: str | None = None
    after: str | None = None

    @property
    def access_key(self) -> str:
        """The access key that signed the request."""
        return self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


class S3Error(NamedTuple):
    """An error to answer with."""

    status: int
    code: str
    message: str = ""
    more: str = ""  # further elements of the answer
    headers: tuple[tuple[str, str], ...] = ()


class OddS3:
    """The server. `page` is the number of keys in a page.

    refuse: called with each request; returns the error, or None. edit: changes the elements of a page and of each of
    the `Contents`; those that become None are left out. answer: changes the headers of an object's answer in the same
    way, and returns its body. obeys_conditions, obeys_ranges, obeys_start_after: whether the server obeys those of a
    request. sts: the error for a role.
    """

    def __init__(self) -> None:
        """Start with an empty bucket and an empty queue."""
        self.objects: dict[str, Object] = {}
        self.messages: list[dict[str, str]] = []
        self.page = 1000
        self.requests: list[Request] = []
        self.refuse: Callable[[Request], S3Error | None] = lambda _: None
        self.edit: Callable[[dict[str, Any]], None] = lambda _: None
        self.answer: Callable[[dict[str, str | None], bytes], bytes] = lambda _, body: body
        self.sts = S3Error(403, "AccessDenied")
        self.obeys_conditions = self.obeys_ranges = self.obeys_start_after = True
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.serve(self)

            def do_POST(self) -> None:
                server.queue(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Ignore a client that hangs up."""

        self._listening = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._listening.server_port}"
        threading.Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Stop the server."""
        self._listening.shutdown()
        self._listening.server_close()

    def put(self, objects: dict[str, bytes], modified: datetime = OLD) -> None:
        """Put objects below `p/`."""
        self.objects.update({f"p/{key}": Object(data, modified) for key, data in objects.items()})

    def gets(self) -> list[str]:
        """Return the keys that were read, in their order."""
        return [request.key for request in self.requests if request.kind == "get"]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a listing or a GET."""
        url = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if "list-type" in query:
            token, after = query.get("continuation-token"), query.get("start-after")
            request = Request("list", query.get("prefix", ""), headers, token, after)
        else:
            request = Request("get", unquote(url.path).removeprefix("/lake/"), headers)
        self.requests.append(request)
        error = self.refuse(request)
        if error is not None:
            self._error(handler, error)
        elif request.kind == "list":
            page = self._page(request, int(query.get("max-keys", 1000)))
            if "encoding-type" in query:
                page["EncodingType"] = query["encoding-type"]
                for item in page["Contents"]:
                    item["Key"] = quote(item["Key"])
            self.edit(page)
            _send(handler, 200, _xml(page), {"Content-Type": "application/xml"})
        else:
            self._get(handler, request)

    def _page(self, request: Request, most: int) -> dict[str, Any]:
        after = (request.token or (request.after if self.obeys_start_after else "") or "").encode()
        keys = sorted((key for key in list(self.objects) if key.startswith(request.key)), key=str.encode)
        left = [key for key in keys if key.encode() > after]
        held = left[: min(self.page, most)]
        return {
            "Name": "lake",
            "Prefix": request.key,
            "IsTruncated": "true" if len(left) > len(held) else "false",
            "NextContinuationToken": held[-1] if len(left) > len(held) else None,
            "KeyCount": str(len(held)),
            "EncodingType": None,
            "Contents": [
                {
                    "Key": key,
                    "LastModified": f"{self.objects[key].modified:%Y-%m-%dT%H:%M:%S.%fZ}",
                    "ETag": self.objects[key].etag,
                    "Size": str(len(self.objects[key].data)),
                    "StorageClass": "STANDARD",
                }
                for key in held
            ],
        }

    def _get(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        found = self.objects.get(request.key)
        if found is None:
            self._error(handler, S3Error(404, "NoSuchKey"))
            return
        if self.obeys_conditions and not _is_met(request, found):
            self._error(handler, S3Error(412, "PreconditionFailed"))
            return
        headers: dict[str, str | None] = {
            "ETag": found.etag,
            "Last-Modified": format_datetime(found.modified.replace(microsecond=0), usegmt=True),
        }
        if request.headers.get("x-amz-checksum-mode"):
            headers["x-amz-checksum-crc32"] = b64encode(crc32(found.data).to_bytes(4, "big")).decode()
        status, body = 200, found.data
        wanted = request.headers.get("range")
        if wanted and self.obeys_ranges:
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            status, body = 206, found.data[int(begin) : int(end) + 1]
            headers["Content-Range"] = f"bytes {begin}-{int(begin) + len(body) - 1}/{len(found.data)}"
        body = self.answer(headers, body)
        _send(handler, status, body, {name: value for name, value in headers.items() if value is not None})

    def queue(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request to the queue."""
        sent = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if "x-amz-target" not in headers:  # STS
            text = f"<ErrorResponse><Error><Code>{self.sts.code}</Code></Error></ErrorResponse>"
            _send(handler, self.sts.status, text.encode(), {"Content-Type": "text/xml"})
            return
        parameters = json.loads(sent)
        what = "receive" if headers["x-amz-target"].endswith("ReceiveMessage") else "delete"
        request = Request(what, parameters["QueueUrl"], headers)
        self.requests.append(request)
        error = self.refuse(request)
        if error is not None:
            body = json.dumps({"__type": f"com.amazonaws.sqs#{error.code}", "message": error.message}).encode()
            _send(handler, error.status, body, {"Content-Type": "application/x-amz-json-1.0"})
            return
        messages, self.messages = self.messages, []
        if not messages and parameters.get("WaitTimeSeconds"):
            time.sleep(0.2)
        answer = {"Messages": messages} if what == "receive" else {"Successful": [], "Failed": []}
        _send(handler, 200, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.0"})

    def _error(self, handler: BaseHTTPRequestHandler, error: S3Error) -> None:
        text = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>{error.more}</Error>"
        body = text.encode() if error.code else b""
        _send(handler, error.status, body, {"Content-Type": "application/xml", **dict(error.headers)})


def _is_met(request: Request, found: Object) -> bool:
    """Whether an object is the version that the conditions of a request name."""
    since = request.headers.get("if-unmodified-since")
    if since is not None and found.modified > datetime.strptime(since, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC):
        return False
    return request.headers.get("if-match", found.etag) == found.etag


def _xml(page: dict[str, Any]) -> bytes:
    parts = [f"<Contents>{_elements(item)}</Contents>" for item in page.get("Contents") or () if item is not None]
    others = _elements({name: value for name, value in page.items() if name != "Contents"})
    return f"<ListBucketResult>{others}{''.join(parts)}</ListBucketResult>".encode()


def _elements(values: dict[str, str | None]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items() if value is not None)


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, Any]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
