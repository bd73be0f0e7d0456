"""The ports that tests give to servers: nobody else gets one between finding it and listening on it."""

from __future__ import annotations

import socket

import pytest

from tests.ports import free_port


def test_a_port_that_was_found_is_kept_for_the_server_that_is_to_listen_there() -> None:
    """Refused to whoever connects or binds it alone, and to be had by a server, twice one after the other."""
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 30)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port), 30):
            assert free_port() != port
