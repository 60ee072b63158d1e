"""How a host is written in a request's ``Host`` header. Pure."""

import ipaddress
import re

import idna

_HOST_AND_PORT = re.compile(r"(\[[^]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORTS = {"http": 80, "https": 443}


class BadHost(ValueError):
    """This is not a host, or a host and a port, that a browser could send."""


def browser_host(host: str, scheme: str) -> str:
    """The ``Host`` header that a browser sends for ``host`` (a name or address, with or without a port).

    Lower case, names in their ASCII form, without the port that ``scheme`` implies. Raises :class:`BadHost`.
    """
    found = _HOST_AND_PORT.fullmatch(host)
    if found is None:
        raise BadHost(host)
    name, port = _name(found[1]), int(found[2] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise BadHost(host)
    return name if port == _PORTS[scheme] else f"{name}:{port}"


def _name(name: str) -> str:
    if name.startswith("[") and name.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError:
            raise BadHost(name) from None
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            raise BadHost(name) from None
    name = name.lower()
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadHost(name)
    return name
