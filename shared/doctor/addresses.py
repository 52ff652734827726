"""Whether somebody listens where settings lead to: a connection is made, and nothing is sent."""

import contextlib
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from shared.doctor.checks import Unseen
from shared.domain.condition import Address

VARIABLES = ("FACTEUR_CALLBACK_URL", "FACTEUR_MEMORY_URL", "K_SINK")
_TIMEOUT_SECONDS = 3.0
_PORTS = {"http": 80, "https": 443}


def addresses(settings: Mapping[str, str]) -> tuple[Address, ...] | Unseen:
    """What became of each; Unseen if no name of them is known here, as it is with those of a cluster."""
    found = tuple(_found(variable, settings[variable]) for variable in VARIABLES if settings.get(variable))
    known = tuple(address for address in found if address)
    if found and not known:
        return Unseen("the URLs of the settings have names that are not known here", wanted=False)
    return known


def _found(variable: str, url: str) -> Address | None:
    asked = urlsplit(url)
    with contextlib.suppress(ValueError):  # a port that is no number is a mistake of the settings
        port = asked.port or _PORTS.get(asked.scheme, 0)
        if not asked.hostname or not port:
            return None
        try:
            places = socket.getaddrinfo(asked.hostname, port, type=socket.SOCK_STREAM)
        except OSError:
            return None
        return Address(variable, f"{asked.hostname}:{port}", _listens(place[4] for place in places))
    return None


def _listens(places: Iterable[tuple[object, ...]]) -> bool:
    for place in places:
        with contextlib.suppress(OSError), socket.create_connection((str(place[0]), place[1]), _TIMEOUT_SECONDS):  # type: ignore[arg-type]  # a port
            return True
    return False
