"""Free ports on this machine: a busy one is replaced by the next that is free, and said."""

import socket
from collections.abc import Collection

from dispatch.contracts.errors import BadInput

TRIES_MAX = 200


def free_port(wanted: int, *, host: str = "127.0.0.1", taken: Collection[int] = ()) -> int:
    """`wanted`, or the next port that neither TCP nor UDP uses.

    Raises:
        BadInput: none is free near it.
    """
    for port in range(wanted, min(wanted + TRIES_MAX, 65536)):
        if port not in taken and is_free(port, host=host):
            return port
    raise BadInput("port", f"none is free from {wanted} on", mend="end what uses them")


def free_range(wanted: int, count: int, *, host: str = "127.0.0.1") -> int:
    """The first of `count` free ports in a row, from `wanted` on in steps of `count`."""
    for first in range(wanted, min(wanted + count * TRIES_MAX, 65536 - count), count):
        if all(is_free(port, host=host) for port in range(first, first + count)):
            return first
    raise BadInput("port", f"no {count} in a row are free from {wanted} on")


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether TCP and UDP can both be bound."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
