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


class Asked(NamedTuple):
    """A request: its kind, the key or the prefix, the headers in lower case, where a listing begins."""

    what: str  # list, get, receive or delete
    key: str
    headers: dict[str, str]
    token: str | None = None
    after: str | None = None

    @property
    def access_key(self) -> str:
        """The access key that signed the request."""
        return self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


class Refusal(NamedTuple):
    """An error to answer with."""

    status: int
    code: str
    message: str = ""
    more: str = ""  # further elements of the answer
    headers: tuple[tuple[str, str], ...] = ()


class OddS3:
    """The server. `page` is the number of keys in a page.

    refuse: called with each request; returns the refusal, or None. edit: changes the elements of a page and of each of
    the `Contents`; those that become None are left out. answer: changes the headers of an object's answer in the same
    way, and returns its body. heeds_conditions, heeds_ranges, heeds_start_after: whether the server obeys those of a
    request. sts: the refusal for a role.
    """

    def __init__(self) -> None:
        """Start with an empty bucket and an empty queue."""
        self.objects: dict[str, Object] = {}
        self.messages: list[dict[str, str]] = []
        self.page = 1000
        self.asked: list[Asked] = []
        self.refuse: Callable[[Asked], Refusal | None] = lambda _: None
        self.edit: Callable[[dict[str, Any]], None] = lambda _: None
        self.answer: Callable[[dict[str, str | None], bytes], bytes] = lambda _, body: body
        self.sts = Refusal(403, "AccessDenied")
        self.heeds_conditions = self.heeds_ranges = self.heeds_start_after = True
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
        return [asked.key for asked in self.asked if asked.what == "get"]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a listing or a GET."""
        url = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if "list-type" in query:
            token, after = query.get("continuation-token"), query.get("start-after")
            asked = Asked("list", query.get("prefix", ""), headers, token, after)
        else:
            asked = Asked("get", unquote(url.path).removeprefix("/lake/"), headers)
        self.asked.append(asked)
        refusal = self.refuse(asked)
        if refusal is not None:
            self._error(handler, refusal)
        elif asked.what == "list":
            page = self._page(asked, int(query.get("max-keys", 1000)))
            if "encoding-type" in query:
                page["EncodingType"] = query["encoding-type"]
                for item in page["Contents"]:
                    item["Key"] = quote(item["Key"])
            self.edit(page)
            _send(handler, 200, _xml(page), {"Content-Type": "application/xml"})
        else:
            self._get(handler, asked)

    def _page(self, asked: Asked, most: int) -> dict[str, Any]:
        after = (asked.token or (asked.after if self.heeds_start_after else "") or "").encode()
        keys = sorted((key for key in list(self.objects) if key.startswith(asked.key)), key=str.encode)
        left = [key for key in keys if key.encode() > after]
        held = left[: min(self.page, most)]
        return {
            "Name": "lake",
            "Prefix": asked.key,
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

    def _get(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        found = self.objects.get(asked.key)
        if found is None:
            self._error(handler, Refusal(404, "NoSuchKey"))
            return
        if self.heeds_conditions and not _is_met(asked, found):
            self._error(handler, Refusal(412, "PreconditionFailed"))
            return
        headers: dict[str, str | None] = {
            "ETag": found.etag,
            "Last-Modified": format_datetime(found.modified.replace(microsecond=0), usegmt=True),
        }
        if asked.headers.get("x-amz-checksum-mode"):
            headers["x-amz-checksum-crc32"] = b64encode(crc32(found.data).to_bytes(4, "big")).decode()
        status, body = 200, found.data
        wanted = asked.headers.get("range")
        if wanted and self.heeds_ranges:
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
            said = f"<ErrorResponse><Error><Code>{self.sts.code}</Code></Error></ErrorResponse>"
            _send(handler, self.sts.status, said.encode(), {"Content-Type": "text/xml"})
            return
        request = json.loads(sent)
        what = "receive" if headers["x-amz-target"].endswith("ReceiveMessage") else "delete"
        asked = Asked(what, request["QueueUrl"], headers)
        self.asked.append(asked)
        refusal = self.refuse(asked)
        if refusal is not None:
            body = json.dumps({"__type": f"com.amazonaws.sqs#{refusal.code}", "message": refusal.message}).encode()
            _send(handler, refusal.status, body, {"Content-Type": "application/x-amz-json-1.0"})
            return
        messages, self.messages = self.messages, []
        if not messages and request.get("WaitTimeSeconds"):
            time.sleep(0.2)
        answer = {"Messages": messages} if what == "receive" else {"Successful": [], "Failed": []}
        _send(handler, 200, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.0"})

    def _error(self, handler: BaseHTTPRequestHandler, refusal: Refusal) -> None:
        said = f"<Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>{refusal.more}</Error>"
        body = said.encode() if refusal.code else b""
        _send(handler, refusal.status, body, {"Content-Type": "application/xml", **dict(refusal.headers)})


def _is_met(asked: Asked, found: Object) -> bool:
    """Whether an object is the version that the conditions of a request name."""
    since = asked.headers.get("if-unmodified-since")
    if since is not None and found.modified > datetime.strptime(since, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC):
        return False
    return asked.headers.get("if-match", found.etag) == found.etag


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
