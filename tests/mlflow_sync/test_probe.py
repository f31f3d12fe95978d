"""Whether MLflow answers: a connection closed without a word is no outage, a server that does nothing else is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hma_ft.mlflow_sync.store import PROBES, connect


@contextmanager
def closing(times: int) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that closes the first `times` connections, then has no experiments; and the requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.close_connection = True
            if len(asked) > times:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_closed_connections_are_tried_again() -> None:
    with closing(PROBES - 1) as (uri, asked):
        connect(uri)
        assert len(asked) == PROBES


def test_a_server_that_only_closes_connections_is_given_up() -> None:
    with closing(100) as (uri, asked), pytest.raises(Exception, match="RemoteDisconnected"):
        connect(uri)
    assert len(asked) == PROBES
