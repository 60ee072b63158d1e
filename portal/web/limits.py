"""Rate limits. In memory at home; an operator with several workers sets ``REDIS_URL`` (see docs/decisions)."""

from ipaddress import IPv4Address, IPv6Network, ip_address

from flask import Flask, request
from flask_limiter import Limiter

from portal.config import Settings

#: The least that a subscriber or a rented machine is given of IPv6 (RFC 6177): 2**64 addresses to try from.
_SUBSCRIBER = 64


def network_of(address: str | None) -> str:
    """The network that limits count ``address`` by: an IPv4 address, an IPv6 /64, or "nowhere".

    An IPv4 address that is mapped into IPv6 (``::ffff:192.0.2.1``) is the IPv4 address.
    """
    try:
        found = ip_address(address or "")
    except ValueError:
        return "nowhere"  # a socket in the file system has no addresses: whoever comes by it counts as one
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), _SUBSCRIBER), strict=False))


def network() -> str:
    """The network this request came from; the key of every limit that names no other."""
    return network_of(request.remote_addr)


limiter = Limiter(key_func=network, default_limits=[])


def init_app(app: Flask, settings: Settings) -> None:
    """Count in Redis where there is one, so that the limits hold across workers."""
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis_url or "memory://"
    app.config["RATELIMIT_HEADERS_ENABLED"] = False
    limiter.init_app(app)
