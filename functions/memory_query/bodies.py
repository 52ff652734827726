"""Questions as they come, and answers as they go."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec

from functions.memory_query.choose import Chosen
from shared.domain.memory import Recalled, snippet
from shared.domain.memory_index import Filters
from shared.domain.scope_lift import ScopeLift, document

MAX_RESULTS = 50
MAX_AGE_DAYS = 36_500
SCORES = ("vector", "lexical", "outcome", "age")

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_RESULTS)]
Word = Annotated[str, msgspec.Meta(max_length=500)]
Days = Annotated[int, msgspec.Meta(ge=1, le=MAX_AGE_DAYS)]


class FilterBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What results must match; absent matches anything. All of the tags must be there."""

    namespace: Word | None = None
    resource_kind: Word | None = None
    repository: Word | None = None
    kind: Word | None = None
    tags: Annotated[list[Word], msgspec.Meta(max_length=32)] = msgspec.field(default_factory=list)
    outcome: Word | None = None
    max_age_days: Days | None = None
    per_task: bool = True


class NearestQuery(FilterBody, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The query of `GET …/memory`."""

    limit: Limit = 5


class QueryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST …/memory/query`: a text or a vector."""

    text: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    vector: Annotated[list[float], msgspec.Meta(max_length=4000)] | None = None
    limit: Limit = 5
    filters: FilterBody = FilterBody()

    def __post_init__(self) -> None:
        if (self.text is None) == (self.vector is None):
            raise ValueError("exactly one of text and vector is wanted")
        if self.text is not None and not self.text.strip():
            raise ValueError("text is empty")


def filters(body: FilterBody, tenant: str, not_task: UUID) -> Filters:
    """The filters of the query; the tenant is never the caller's choice."""
    wanted = {field: getattr(body, field) for field in FilterBody.__struct_fields__}
    return Filters(tenant, not_task, **wanted)


class LiftQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of `GET /v1/memory/lift`."""

    repository: Word | None = None


def answer(chosen: Chosen) -> dict[str, Any]:
    """The JSON of an answer, which says why a run is shown nothing."""
    found, offer = chosen.answer, chosen.offer
    results = [_result(recalled) for recalled in found.results]
    document: dict[str, Any] = {"results": results, "degraded": found.degraded, "model": found.model}
    if offer and offer.off:
        document["switchedOff"] = True
    elif offer and offer.held_out:
        document["holdout"] = True
    return document


def lift(scopes: Sequence[ScopeLift]) -> dict[str, Any]:
    """The JSON of the lift of a tenant's scopes."""
    return {"scopes": [document(scope) for scope in scopes]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _result(recalled: Recalled) -> dict[str, Any]:
    memory = recalled.memory
    return {
        "score": round(recalled.score, 4),
        "scores": {name: _rounded(recalled.parts.get(name)) for name in SCORES},
        "snippet": snippet(memory.text),
        "metadata": {
            "repository": memory.repository,
            "namespaces": list(memory.namespaces),
            "resourceKinds": list(memory.resource_kinds),
            "tags": list(memory.tags),
            "outcome": memory.outcome,
        },
        "provenance": {
            "memoryId": str(memory.id),
            "taskId": str(memory.task_id),
            "kind": memory.kind,
            "source": memory.source_ref,
            "attempt": memory.attempt,
            "trust": memory.trust,
            "createdAt": memory.created_at.isoformat(),
        },
    }
