"""Proxies between the program and a real server, which break connections on request."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO, Literal, NamedTuple
from urllib.parse import urlsplit

import boto3
from psycopg2.extensions import parse_dsn

Cut = Literal["before", "after"]
S3Fault = Literal[
    "500", "503", "403", "reset", "truncated", "reset in the body", "too short", "no body", "whole", "slow"
]

CANCEL, TLS, GSS = 80877102, 80877103, 80877104
LINGER = struct.pack("ii", 1, 0)
CODES = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied"}


class LostAnswer:
    """A fault of a PostgresProxy: the answer to the first COMMIT after a statement is lost, once."""

    def __init__(self, words: bytes) -> None:
        """Wait for a statement with these words."""
        self._words, self._is_near, self.is_cut = words, False, False

    def __call__(self, _: int, text: bytes) -> Cut | None:
        """Return where the connection is cut."""
        self._is_near = self._is_near or self._words in text
        if self.is_cut or not self._is_near or not text.startswith(b"COMMIT"):
            return None
        self.is_cut = True
        return "after"


class PostgresProxy:
    """Counts the statements and ends of COPY that go to a server; `fault` is called with each before it is passed on.

    It returns None, or where to cut the connection: before the server sees the statement, or after it was executed and
    before its answer. It may also end a process or wait.
    """

    def __init__(self, url: str, fault: Callable[[int, bytes], Cut | None] = lambda _number, _text: None) -> None:
        """Start a proxy in front of the server of the database `url`."""
        self.fault, self.statements = fault, 0
        self._server = parse_dsn(url)
        self._counting = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = (
            f"postgresql://{self._server['user']}@127.0.0.1:{self._listening.getsockname()[1]}"
            f"/{self._server['dbname']}?sslmode=disable&gssencmode=disable"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Refuse new connections and cut the open ones."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """Cut all open connections."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = socket.socket(socket.AF_UNIX)
        self._connections |= {client, server}
        answers = client.makefile("wb", buffering=0)
        muted = threading.Event()
        try:
            server.connect(f"{self._server['host']}/.s.PGSQL.{self._server['port']}")
            requests = client.makefile("rb")
            code, startup = self._startup(requests, answers)
            server.sendall(startup)
            if code == CANCEL:
                server.recv(1)
                return
            pump = threading.Thread(target=self._answer, args=(server, client, muted), daemon=True)
            pump.start()
            while message := _message(requests):
                cut = self._ask(message) if message[:1] in (b"Q", b"c") else None
                if cut == "before":
                    break
                if cut == "after":
                    muted.set()
                server.sendall(message)
                if cut == "after":
                    pump.join(30)
                    break
        except OSError:
            pass
        finally:
            if self.statements % 2:  # sometimes a reset, sometimes an end
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            self._connections -= {client, server}
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _startup(self, requests: BinaryIO, answers: "socket.SocketIO") -> tuple[int, bytes]:
        while True:
            begin = _exactly(requests, 8)
            length, code = struct.unpack("!ii", begin)
            if code not in (TLS, GSS):
                return code, begin + _exactly(requests, length - 8)
            answers.write(b"N")

    def _ask(self, message: bytes) -> Cut | None:
        with self._counting:
            self.statements += 1
            return self.fault(self.statements, message[5:])

    def _answer(self, server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
        answers = server.makefile("rb")
        with suppress(OSError):
            while message := _message(answers):
                if not muted.is_set():
                    client.sendall(message)
                elif message[:1] in b"ZG":
                    return
        if not muted.is_set():
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def _message(stream: BinaryIO) -> bytes:
    """Return the next message of the protocol; empty at the end."""
    head = stream.read(5)
    if len(head) < 5:
        return b""
    return head + _exactly(stream, int.from_bytes(head[1:], "big") - 4)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionError
    return data


class Request(NamedTuple):
    """A request to S3: its method, its path with the query, its range and its number among those of this path."""

    method: str
    path: str
    range: str | None
    number: int


class S3Proxy:
    """Passes requests on to an S3 server; `fault` returns how a request fails, or None."""

    def __init__(self, endpoint: str, fault: Callable[[Request], S3Fault | None] = lambda _: None) -> None:
        """Start a proxy in front of the server at `endpoint`."""
        self.fault, self.requests = fault, list[Request]()
        self.server = endpoint
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Log nothing."""

        self._listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._listening.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._listening.server_port}"
        threading.Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Refuse new connections and reset the open ones."""
        self.fault = lambda _: "reset"
        self._listening.shutdown()
        self._listening.server_close()

    def gets(self) -> list[str]:
        """Return the paths of the objects that were read, in their order."""
        return [request.path for request in self.requests if "list-type" not in request.path]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request as the server does, or with the fault."""
        number = 1 + sum(request.path == handler.path for request in self.requests)
        request = Request(handler.command, handler.path, handler.headers["Range"], number)
        self.requests.append(request)
        fault = self.fault(request)
        if fault == "slow":
            time.sleep(0.5)
        if fault == "reset":
            _reset(handler)
            return
        status, headers, body = self._forward(handler, "" if fault == "whole" else handler.headers["Range"])
        if fault in CODES:
            status, body = int(fault), f"<Error><Code>{CODES[fault]}</Code></Error>".encode()
            headers = {"Content-Type": "application/xml"}
        sent = body[: len(body) // 2] if fault in ("truncated", "reset in the body", "too short") else body
        if fault == "no body":
            sent = b""
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(sent if fault == "too short" else body)))
        handler.end_headers()
        handler.wfile.write(sent)
        if fault == "reset in the body":
            _reset(handler)
        elif fault in ("truncated", "no body"):
            handler.close_connection = True

    def _forward(self, handler: BaseHTTPRequestHandler, byte_range: str | None) -> tuple[int, dict[str, str], bytes]:
        headers = {
            name: value for name, value in handler.headers.items() if name.lower() not in ("connection", "range")
        }
        if byte_range:
            headers["Range"] = byte_range
        connection = http.client.HTTPConnection(urlsplit(self.server).netloc)
        connection.request(handler.command, handler.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        passed = ("Content-Length", "Connection", "Transfer-Encoding", "Date", "Server")
        return answer.status, {name: value for name, value in answer.getheaders() if name.title() not in passed}, body


def _reset(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    handler.connection.shutdown(socket.SHUT_RD)
    handler.connection.close()
    handler.close_connection = True


def put(endpoint: str, key: str, data: bytes) -> None:
    boto3.client("s3", endpoint_url=endpoint).put_object(Bucket="events", Key=key, Body=data, ACL="public-read")
