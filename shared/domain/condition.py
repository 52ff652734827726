"""What is seen of the servers of an install: facts without a judgement. Times are in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock is `ahead` of this machine's by so much, or behind if negative, give or take `within`."""

    name: str
    ahead: float
    within: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of the database: what it lacks, and has beyond what its function needs, like `INSERT on outbox`."""

    name: str
    powers: frozenset[str] = frozenset()
    owns: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    beyond: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseServer:
    """The server. `version` is like 180001; the two of `vector` are None where there is no such extension.

    `oldest_transaction` is None for a role that may not see those of others.
    """

    version: int
    vector: str | None
    vector_offered: str | None
    settings: Mapping[str, str]
    connections: int
    oldest_transaction: float | None
    in_recovery: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index of the schema. `building`: somebody makes it just now."""

    name: str
    valid: bool
    building: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What was migrated: names and digests, as applied and as shipped; and definitions by index name."""

    applied: Mapping[str, str]
    shipped: Mapping[str, str]
    indexes: Mapping[str, Index]
    wanted_indexes: Mapping[str, str]
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of memories, `name:3072`. `big`: it has vectors enough for an index, which is `index` if there is one.

    `odd`: it has vectors of another length; None where there are too many to look at.
    `migrating`: somebody changes the model just now.
    """

    model: str
    state: str
    age: float
    big: bool
    odd: bool | None
    index: str
    migrating: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is late, counted; and the models."""

    outbox: int = 0
    outbox_age: float = 0.0
    letters: int = 0
    overdue: int = 0
    launching: int = 0
    waiting: int = 0
    unsettled: int = 0
    unembedded: int = 0
    models: tuple[Model, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """`info` is what INFO says, `save` the setting of snapshots, None where it may not be read."""

    info: Mapping[str, str]
    save: str | None
    password: bool
    local: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """How the store answered a read of what is not there: status, and its code as it says it."""

    name: str
    status: int
    code: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a setting leads to, as `host:port`, and whether somebody listens there."""

    variable: str
    place: str
    listens: bool


@dataclass(frozen=True, slots=True)
class Function:
    """The settings of one function, here or in a cluster, and what is wrong with them. Values never reach a repr."""

    name: str
    settings: Mapping[str, str] = field(repr=False)
    mistakes: tuple[str, ...] = ()
    deployed: bool = False
