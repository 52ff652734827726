"""Questions as they come, and answers as they go."""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from functions.memory_query.recall import Answer
from shared.domain.memory import Recalled, snippet
from shared.domain.memory_index import Filters

MAX_RESULTS = 50

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_RESULTS)]


class FilterBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What results must match; absent matches anything."""

    namespace: str | None = None
    resource_kind: str | None = None
    repository: str | None = None
    kind: str | None = None


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
    return Filters(tenant, not_task, body.namespace, body.resource_kind, body.repository, body.kind)


def answer(found: Answer) -> dict[str, Any]:
    """The JSON of an answer."""
    results = [_result(recalled) for recalled in found.results]
    return {"results": results, "degraded": found.degraded, "model": found.model}


def _result(recalled: Recalled) -> dict[str, Any]:
    memory = recalled.memory
    return {
        "score": round(recalled.score, 4),
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
            "createdAt": memory.created_at.isoformat(),
        },
    }
