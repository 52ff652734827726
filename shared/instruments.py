"""Every metric of the system, with the only labels and values that it may have."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from shared.domain.task import Mode
from shared.events.catalogue import UNKNOWN, WORDS

_COMMANDS = frozenset(WORDS.values()) | {"plan", "implement", "review"}
LAUNCH_OUTCOMES = frozenset({"launched", "denied", "failed", "put off", "taken over"})
REPORT_OUTCOMES = frozenset({"accepted", "throttled", "fenced", "refused"})
_CHANNELS = frozenset({"prompt", "query"})
_DOORS = frozenset({"protobuf", "json", "event"})


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric. Any value that `labels` does not list for a label is counted as `(unknown)`."""

    kind: Literal["counter", "histogram"]
    unit: str
    meaning: str
    labels: Mapping[str, frozenset[str]]

    def bounded(self, given: Mapping[str, str]) -> dict[str, str]:
        """Exactly the labels of this instrument, each with a value that is allowed."""
        values = {label: given.get(label, UNKNOWN) for label in self.labels}
        return {label: value if value in self.labels[label] else UNKNOWN for label, value in values.items()}


INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {
        "facteur_command_events_processed_total": Instrument(
            "counter", "{event}", "deliveries of events that were handled", {"command": _COMMANDS}
        ),
        "facteur_command_events_failed_total": Instrument(
            "counter", "{event}", "deliveries of events that were refused or failed", {"command": _COMMANDS}
        ),
        "facteur_command_events_dlq_total": Instrument(
            "counter", "{event}", "events that became dead letters, repeats included", {"command": _COMMANDS}
        ),
        "facteur_command_events_duration_ms": Instrument(
            "histogram", "ms", "time that a delivery of an event took, however it ended", {"command": _COMMANDS}
        ),
        "facteur_intake_tasks_total": Instrument(
            "counter",
            "{task}",
            "tasks that came, and what became of them at the door",
            {"door": _DOORS, "outcome": frozenset({"accepted", "duplicate", "refused"})},
        ),
        "facteur_intake_duration_ms": Instrument(
            "histogram", "ms", "time that a task took at the door", {"door": _DOORS}
        ),
        "facteur_callback_reports_total": Instrument(
            "counter",
            "{request}",
            "batches that containers sent, and what became of them",
            {"outcome": REPORT_OUTCOMES},
        ),
        "facteur_callback_events_total": Instrument(
            "counter",
            "{event}",
            "events that were reported",
            {"outcome": frozenset({"accepted", "duplicate"})},
        ),
        "facteur_callback_duration_ms": Instrument(
            "histogram", "ms", "time that a batch took, however it ended", {"outcome": REPORT_OUTCOMES}
        ),
        "facteur_launches_total": Instrument(
            "counter",
            "{launch}",
            "launches that were begun, and how each ended",
            {"mode": frozenset(Mode), "outcome": LAUNCH_OUTCOMES},
        ),
        "facteur_memory_shown_total": Instrument(
            "counter", "{memory}", "memories that runs were shown", {"channel": _CHANNELS}
        ),
        "facteur_memory_withheld_total": Instrument(
            "counter",
            "{memory}",
            "memories that were found for runs and not shown, and why",
            {"channel": _CHANNELS, "why": frozenset({"toss", "holdout", "off"})},
        ),
        "facteur_memory_scopes_off_total": Instrument(
            "counter", "{scope}", "scopes that were switched off because memories did harm there", {}
        ),
        "facteur_discord_ack_duration_ms": Instrument(
            "histogram",
            "ms",
            "time from an interaction to its acknowledgement",
            {"kind": frozenset({"ping", "command", "component", "autocomplete", "modal"})},
        ),
        "facteur_discord_edits_total": Instrument(
            "counter",
            "{request}",
            "edits of messages in Discord, and how each ended",
            {"outcome": frozenset({"edited", "gone", "throttled", "unavailable", "refused"})},
        ),
        "facteur_discord_rate_limits_total": Instrument(
            "counter",
            "{request}",
            "requests that Discord's rate limits stopped: its own refusals by whose limit it was, or held back here",
            {"scope": frozenset({"user", "shared", "global", "banned", "own"})},
        ),
        "graf_codex_embedding_duration_ms": Instrument(
            "histogram", "ms", "time that a call of the embedding API took, however it ended", {}
        ),
        "graf_codex_embedding_failures_total": Instrument(
            "counter",
            "{call}",
            "calls of the embedding API that made no vectors, and why",
            {"why": frozenset({"throttled", "unavailable", "refused"})},
        ),
    }
)
