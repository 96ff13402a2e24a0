"""Ranges of IP addresses, as people write them and as metadata holds them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


@dataclass(frozen=True, slots=True, kw_only=True)
class IpRange:
    """From the first address to the last, both included."""

    start: IPv4Address | IPv6Address
    end: IPv4Address | IPv6Address

    @property
    def addresses(self) -> int:
        """How many addresses these are."""
        return int(self.end) - int(self.start) + 1


def read_range(text: str) -> IpRange:
    """Return the range that a text names: an address, a network, or `first-last`.

    Raises:
        ValueError: it names none.
    """
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        if dash:
            found = IpRange(start=ip_address(first), end=ip_address(last))
        else:
            network = ip_network(first)
            found = IpRange(start=network[0], end=network[-1])
    except ValueError as error:
        raise ValueError(f"{text} is no address, network or range: {error}") from error
    if found.start.version != found.end.version or found.addresses < 1:
        raise ValueError(f"{text} does not lead from a first to a last address")
    return found
