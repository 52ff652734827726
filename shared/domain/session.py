"""The session of a user: what was last launched for them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """Where the user's last request runs."""

    namespace: str
    workflow_name: str
    message: str
    correlation_id: str
    trace_id: str
