"""Small services over real HTTP, for the commands that ask one."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer

import pytest


@pytest.fixture
def serving(tmp_path):
    """Return what serves by a kind of handler, with `asked` and other members of its own.

    It returns the arguments that lead to that service, and what the service was asked.
    """
    running = []

    def serve(kind, **members):
        one = type("OneService", (kind,), {"asked": [], **members})
        server = ThreadingHTTPServer(("127.0.0.1", 0), one)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        key = tmp_path / "key.txt"
        key.write_text("kt_test_1\n")
        url = f"http://127.0.0.1:{server.server_port}"
        return ["--url", url, "--api-key-file", str(key)], one.asked

    yield serve
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()
