"""What the database role of each function may do: what its statements need, and nothing else.

The tables that it inserts into, updates or deletes from are those that `Writes:` of its data sheet names.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

# By the name of the function: each verb with its tables, in the schema codex_kb.
_VERBS: Mapping[str, Mapping[str, str]] = {
    "callback": {
        "SELECT": "artifacts codex_task_events codex_task_uploads codex_tasks outbox task_runs tasks",
        "INSERT": "artifacts codex_task_events codex_task_snapshots codex_task_uploads outbox run_events",
        "UPDATE": "codex_task_uploads codex_tasks task_runs tasks",
        "DELETE": "codex_task_uploads outbox",
    },
    "codex-intake": {
        "SELECT": "artifacts coalesced_deliveries codex_task_events codex_task_memory_index codex_task_memory_vectors"
        " codex_tasks dead_letters ideas memory_effects memory_exposure memory_models memory_scopes memory_sums"
        " memory_trials outbox policy_checks run_events task_runs tasks",
        "INSERT": "coalesced_deliveries codex_tasks dead_letters ideas memory_effects memory_scopes memory_sums outbox"
        " run_events task_runs tasks",
        "UPDATE": "codex_tasks dead_letters ideas memory_effects memory_scopes memory_sums memory_trials task_runs"
        " tasks",
        "LOCK": "codex_task_memory_index",
        "DELETE": "outbox",
    },
    "discord-interaction": {
        "SELECT": "artifacts codex_task_events codex_task_memory_index codex_task_memory_vectors codex_task_snapshots"
        " codex_tasks dead_letters discord_cards memory_exposure memory_models outbox run_events task_runs tasks",
        "INSERT": "dead_letters discord_cards outbox run_events",
        "UPDATE": "codex_tasks dead_letters discord_cards task_runs tasks",
        "DELETE": "outbox",
    },
    "dispatcher": {
        "SELECT": "codex_task_briefs codex_task_memory_index codex_task_memory_vectors codex_task_snapshots"
        " codex_tasks memory_effects memory_exposure memory_models memory_scopes memory_sums memory_trials outbox"
        " task_runs tasks",
        "INSERT": "codex_task_briefs codex_task_snapshots memory_exposure memory_trials outbox policy_checks"
        " run_events",
        "UPDATE": "codex_tasks outbox task_runs tasks",
        "LOCK": "codex_task_memory_index",
        "DELETE": "outbox",
    },
    "embedder": {
        "SELECT": "codex_task_briefs codex_task_events codex_task_memory_index codex_task_memory_vectors"
        " codex_task_snapshots codex_tasks memory_effects memory_exposure memory_models memory_scopes memory_sums"
        " memory_tombstones memory_trials outbox policy_checks run_events",
        "INSERT": "codex_task_memory_index codex_task_memory_vectors inbox memory_effects memory_models memory_scopes"
        " memory_sums memory_tombstones outbox",
        "UPDATE": "codex_task_briefs codex_task_memory_index codex_task_memory_vectors codex_tasks memory_effects"
        " memory_models memory_scopes memory_sums memory_trials",
        "DELETE": "codex_task_memory_index codex_task_memory_vectors outbox",
    },
    "memory-query": {
        "SELECT": "codex_task_memory_index codex_task_memory_vectors codex_tasks memory_effects memory_exposure"
        " memory_models memory_scopes memory_sums memory_trials",
        "INSERT": "memory_exposure memory_models memory_trials",
        "UPDATE": "codex_task_memory_index memory_models",
    },
}
# Rows that are locked, and not written, need the right to change one of their columns. This one says that a vector is
# missing, and embedder looks for itself whether it is.
_CHANGED_TO_LOCK = {"codex_task_memory_index": "waits"}

FUNCTIONS = tuple(_VERBS)


class Privilege(NamedTuple):
    """A verb, such as `SELECT` or `UPDATE (column)`, on a table of codex_kb."""

    verb: str
    table: str


class Timeouts(NamedTuple):
    """How long a statement may take, and a transaction may wait for its client; as PostgreSQL writes it."""

    statement_timeout: str
    idle_in_transaction_session_timeout: str


_TIMEOUTS: Mapping[str, Timeouts] = {
    # A round of the relay is one transaction, in which the broker is asked up to a hundred times.
    "dispatcher": Timeouts("30s", "5min"),
    # The first model of a database, and what is forgotten by age, touch many rows.
    "embedder": Timeouts("5min", "1min"),
}


def role(function: str) -> str:
    """The database role of a function: `facteur_codex_intake` of `codex-intake`."""
    return f"facteur_{function.replace('-', '_')}"


def privileges(function: str) -> Iterator[Privilege]:
    """What the function's role may do with tables."""
    for verb, tables in _VERBS[function].items():
        for table in tables.split():
            yield locking(table) if verb == "LOCK" else Privilege(verb, table)


def locking(table: str) -> Privilege:
    """What takes locks of rows of a table, and writes none."""
    verb = "UPDATE"
    return Privilege(f"{verb} ({_CHANGED_TO_LOCK[table]})", table)


def timeouts(function: str) -> Timeouts:
    return _TIMEOUTS.get(function, Timeouts("30s", "1min"))
