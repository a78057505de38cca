"""The names and addresses by which others on the network can reach this machine."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
import sys

_SIOCGIFADDR = 0x8915
"""Linux: the address of an interface (netdevice(7))."""


def host_name() -> str:
    """This machine's name."""
    return socket.gethostname()


def own_addresses() -> tuple[str, ...]:
    """IPv4 and IPv6 addresses of this machine, those that a scanner could reach first; may wait for a name server.

    Loopback and link-local addresses, which nobody else can reach, are left out.
    """
    found = dict.fromkeys([*_of_interfaces(), *_of_the_name()])
    reachable = [text for text in found if is_reachable(text)]
    return tuple(sorted(reachable, key=lambda text: ipaddress.ip_address(text).version))


def is_reachable(text: str) -> bool:
    """Whether another machine could reach that address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _of_interfaces() -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with contextlib.suppress(OSError):  # one that has no address
                found.append(socket.inet_ntoa(fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, request)[20:24]))
    return found


def _of_the_name() -> list[str]:
    with contextlib.suppress(OSError, UnicodeError):
        answers = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
        return [str(answer[4][0]).partition("%")[0] for answer in answers]
    return []
