"""Ports for servers of the tests."""

import random
import socket

BELOW_CLIENTS = range(15_000, 32_000)  # Linux gives clients 32768 and up: a slow server would find its port taken


def free_port() -> int:
    """One that nobody holds, and that no outgoing connection gets until its server has started."""
    for port in random.Random().sample(BELOW_CLIENTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("a hundred ports in a row are taken")
