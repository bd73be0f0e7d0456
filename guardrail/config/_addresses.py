"""Where an IP address lies, as far as the address alone tells: on the internet, inside, or where a cloud keeps secrets.

Not concerned with names: what a name means may change from one moment to the next, so that whoever sends something
looks at the address that answered.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Where clouds answer their own machines, besides link-local addresses: Alibaba, Azure, Oracle, AWS, Google."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses with an IPv4 address in their last 32 bits (RFC 6052)."""


def refused(address: str, *, private: bool) -> str:
    """Why nothing may be sent to an address, as the rest of a sentence; empty if something may.

    Args:
        address: an IP address.
        private: whether it may be one that is not on the internet.

    Raises:
        ValueError: if it is no IP address.
    """
    known = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(known, ipaddress.IPv6Address):
        inner = int(known) & 0xFFFF_FFFF if known in _NAT64 else None
        known = known.ipv4_mapped or (known if inner is None else ipaddress.IPv4Address(inner))
    if known.is_link_local or known in _METADATA:
        return "is where a cloud answers its own machines, and nobody listens there who is to be told"
    if not private and (known.is_multicast or not known.is_global):
        return "is not on the internet: set `private = true` if that is meant"
    return ""
