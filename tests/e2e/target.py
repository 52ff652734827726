"""Which system is under test and how it is reached from here, read from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

BASE_URL, TOKEN = "FACTEUR_E2E_BASE_URL", "FACTEUR_E2E_TOKEN"
HOST_SUFFIX = "FACTEUR_E2E_HOST_SUFFIX"
INTAKE_URL, DISCORD_URL = "FACTEUR_E2E_INTAKE_URL", "FACTEUR_E2E_DISCORD_URL"
MEMORY_URL, MEMORY_HOST = "FACTEUR_E2E_MEMORY_URL", "FACTEUR_E2E_MEMORY_HOST"
BROKER_URL, ARTIFACTS_URL = "FACTEUR_E2E_BROKER_URL", "FACTEUR_E2E_ARTIFACTS_URL"
POSTGRES_DSN, DISCORD_KEY = "FACTEUR_E2E_POSTGRES_DSN", "FACTEUR_E2E_DISCORD_PRIVATE_KEY"
VARIABLES = (
    BASE_URL,
    TOKEN,
    HOST_SUFFIX,
    INTAKE_URL,
    DISCORD_URL,
    MEMORY_URL,
    MEMORY_HOST,
    BROKER_URL,
    ARTIFACTS_URL,
    POSTGRES_DSN,
    DISCORD_KEY,
)
# What is not reached from here, as a cluster keeps some of it to itself.
NONE = "none"
_URL = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?")
_UNREACHED = {(MEMORY_URL, NONE), (DISCORD_URL, NONE), (BROKER_URL, NONE)}
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?")


class TargetError(Exception):
    """The environment does not say which system is meant; the message names every mistake, one a line."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a function is asked. `host` is the name that it is asked by, "" for the one in the URL."""

    url: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A system. What is None or "" cannot be reached from here, and its tests are skipped."""

    intake: Door
    discord: Door | None
    memory: Door | None
    broker: str
    artifacts: str
    token: str = field(repr=False)
    dsn: str = field(repr=False)
    discord_key: str = field(repr=False)


def read(environ: Mapping[str, str]) -> Target:
    """The target that the variables name; TargetError with every mistake, and never a secret."""
    said = {name: environ.get(name, "").rstrip("/") for name in VARIABLES}
    mistakes = [f"{name} must be set" for name in (BASE_URL, TOKEN) if not said[name]]
    for name, pattern, shape in (
        *((name, _URL, "a URL like http://127.0.0.1:8080") for name in VARIABLES if name.endswith("_URL")),
        *((name, _HOST, "the name of a host") for name in (HOST_SUFFIX, MEMORY_HOST)),
        (DISCORD_KEY, re.compile(r"[0-9a-fA-F]{64}"), "an Ed25519 seed of 64 hex digits"),
    ):
        if said[name] and not pattern.fullmatch(said[name]) and (name, said[name]) not in _UNREACHED:
            mistakes.append(f"{name} must be {shape}")
    if mistakes:
        raise TargetError("\n".join(mistakes))
    return _target(said)


def _target(said: Mapping[str, str]) -> Target:
    base, suffix = said[BASE_URL], said[HOST_SUFFIX]

    def door(function: str, url: str, host: str = "") -> Door:
        """A function with a URL of its own, or with a name of its own at the base URL, or behind the one URL."""
        return Door(url, host) if url else Door(base, host or (f"{function}.{suffix}" if suffix else ""))

    # A broker has no name beside those of the functions.
    broker = said[BROKER_URL] or (NONE if suffix else f"{base}/broker")
    return Target(
        intake=door("codex-intake", said[INTAKE_URL]),
        discord=None if said[DISCORD_URL] == NONE else door("discord-interaction", said[DISCORD_URL]),
        memory=None if said[MEMORY_URL] == NONE else door("memory-query", said[MEMORY_URL], said[MEMORY_HOST]),
        broker="" if broker == NONE else broker,
        artifacts=said[ARTIFACTS_URL],
        token=said[TOKEN],
        dsn=said[POSTGRES_DSN],
        discord_key=said[DISCORD_KEY],
    )
