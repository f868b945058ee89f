"""What is set on sockets before they connect or listen."""

import socket as stdlib_socket
import time

from bifrost_trio.sockets import set_options
from bifrost_trio.sockets.inlet import open_inlet


def test_who_is_accepted_sends_at_once_and_is_told_when_bytes_came() -> None:
    with stdlib_socket.create_server(("127.0.0.1", 0)) as listener, stdlib_socket.socket() as theirs:
        set_options(listener)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        with ours:
            assert ours.getsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY)
            ours.setblocking(False)
            before = time.perf_counter()
            theirs.send(b"hello")
            inlet = open_inlet(ours, timed=True)
            while (received := inlet.receive()) is None:
                """On its way."""
            assert received == b"hello"
            assert before <= inlet.came_at <= time.perf_counter()


def test_a_socket_that_is_not_of_tcp_is_left_as_it_is() -> None:
    with stdlib_socket.socket(stdlib_socket.AF_UNIX) as sock:
        set_options(sock)
