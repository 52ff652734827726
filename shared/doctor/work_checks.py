"""Work that stands still, and models that do not fit."""

from collections.abc import Iterator, Sequence

from shared.doctor.checks import Found, NotLooked, check
from shared.domain.condition import Function, Schema, Work
from shared.embeddings import configured, is_offline
from shared.embeddings.settings import EmbeddingSettings

_HALF_SECONDS = 300


def _log(function: str, namespace: str) -> str:
    return f"kubectl logs -n {namespace} -l serving.knative.dev/service={function} -c user-container"


def _tick(namespace: str) -> str:
    return f"kubectl get pingsource tick -n {namespace} && {_log('dispatcher', namespace)}"


@check(
    "outbox-stuck",
    "work",
    "namespace",
    why="What has become true is not told: tasks are not prepared, launched or shown.",
)
def outbox_stuck(work: Work, namespace: str) -> Iterator[Found]:
    if work.outbox:
        yield Found(
            f"{work.outbox} events are older than five minutes and not with the broker, "
            f"the oldest for {work.outbox_age / 60:.0f} minutes",
            f"see that the broker takes events and the dispatcher gets its tick: {_tick(namespace)}",
        )


@check("dead-letters-waiting", "work", why="Nobody tries these events again; what they were to do was not done.")
def dead_letters_waiting(work: Work) -> Iterator[Found]:
    if work.letters:
        yield Found(
            f"{work.letters} dead letters wait for somebody",
            "facteur dlq ls, then facteur dlq redrive or facteur dlq drop",
        )


@check(
    "runs-overdue",
    "work",
    "namespace",
    why="They count against the caps, and their callers wait for an end that nobody writes.",
)
def runs_overdue(work: Work, namespace: str) -> Iterator[Found]:
    if work.overdue:
        yield Found(
            f"{work.overdue} runs are minutes past their deadline and still `running`",
            f"see that the dispatcher gets its tick: {_tick(namespace)}",
        )


@check("launches-stuck", "work", "namespace", why="Their leases ran out, and no other dispatcher took them over.")
def launches_stuck(work: Work, namespace: str) -> Iterator[Found]:
    if work.launching:
        yield Found(
            f"{work.launching} runs are `launching` by leases that ended ten minutes ago",
            f"see that the dispatcher gets its tick: {_tick(namespace)}",
        )


@check("tasks-not-launched", "work", "namespace", why="They were accepted, and nobody has put them into the queue.")
def tasks_not_launched(work: Work, namespace: str) -> Iterator[Found]:
    if work.waiting:
        yield Found(
            f"{work.waiting} tasks have been `accepted` or `prepared` for more than fifteen minutes",
            f"unset FACTEUR_DISABLE_DISPATCHER, and see that the dispatcher gets its tick: {_tick(namespace)}",
        )


@check(
    "runs-unsettled", "work", "namespace", why="Their Jobs and Secrets stay, and what follows their end is not done."
)
def runs_unsettled(work: Work, namespace: str) -> Iterator[Found]:
    if work.unsettled:
        yield Found(
            f"{work.unsettled} runs ended more than fifteen minutes ago and were not cleared up after",
            f"see what the dispatcher may not do: {_log('dispatcher', namespace)}",
        )


@check("memories-without-vectors", "work", "namespace", why="They are found by their words alone.")
def memories_without_vectors(work: Work, namespace: str) -> Iterator[Found]:
    if work.unembedded:
        yield Found(
            f"{work.unembedded} memories have waited for their vectors for more than half an hour",
            "see what the API of the model says, or add OPENAI_API_KEY to the Secret facteur-secrets: "
            f"{_log('embedder', namespace)}",
        )


@check("memory-index-missing", "work", "schema", "namespace", why="Each search reads the sketch of every memory.")
def memory_index_missing(work: Work, schema: Schema, namespace: str) -> Iterator[Found]:
    for each in work.models:
        if each.state == "active" and each.big and each.index not in schema.indexes:
            yield Found(
                f"{each.model} has vectors enough for an index, and none is there",
                "facteur memory index, as the owner of the database; in a cluster see why it fails: "
                f"kubectl get jobs -n {namespace}",
            )


@check(
    "memory-dimension-wrong", "work", why="Vectors of another length cannot be compared, and the index cannot be made."
)
def memory_dimension_wrong(work: Work) -> Iterator[Found]:
    if any(each.odd is None for each in work.models):
        raise NotLooked("there are too many vectors to look at the length of each")
    for each in work.models:
        if each.odd:
            odd = f"model = '{each.model}' AND length(sketch) <> {each.model.rpartition(':')[2]}"
            yield Found(
                f"there are vectors of {each.model} that have another length",
                "let OPENAI_EMBEDDING_DIMENSION be what the model gives; to have them made anew, in psql: DELETE "  # noqa: S608
                f"FROM codex_kb.codex_task_memory_vectors WHERE {odd};",
            )


@check("memory-migration-half", "work", why="Both models are kept and filled, and nobody carries on with the change.")
def memory_migration_half(work: Work) -> Iterator[Found]:
    for each in work.models:
        if each.state == "filling" and not each.migrating and each.age > _HALF_SECONDS:
            yield Found(
                f"the change to {each.model} was begun {each.age / 3600:.1f} hours ago and is run by nobody",
                f"facteur memory migrate --to {each.model} (carries on where it ended)",
            )


@check(
    "memory-model-differs", "work", "settings", why="A fresh database would begin with another model than this one has."
)
def memory_model_differs(work: Work, settings: Sequence[Function]) -> Iterator[Found]:
    active = next((each.model for each in work.models if each.state == "active"), None)
    for each in settings:
        if each.name in ("embedder", "memory-query") and active and (wanted := _configured(each)) != active:
            yield Found(
                f"{each.name} is set to {wanted}, and the database uses {active}",
                f"facteur memory migrate --to {wanted}; or set OPENAI_EMBEDDING_MODEL and "
                "OPENAI_EMBEDDING_DIMENSION to what is in use",
            )


@check(
    "memory-model-unreachable", "work", "settings", why="Nothing is embedded; memories are found by their words alone."
)
def memory_model_unreachable(work: Work, settings: Sequence[Function]) -> Iterator[Found]:
    active = next((each.model for each in work.models if each.state == "active"), None)
    for each in settings:
        mine = each.name in ("embedder", "memory-query")
        if mine and active and not is_offline(active) and not each.settings.get("OPENAI_API_KEY"):
            yield Found(
                f"{active} is in use, and {each.name} has no key for it",
                "set OPENAI_API_KEY (in a cluster in the Secret facteur-secrets); or: facteur memory migrate --to "
                f"{configured(None, '', 0)}",
            )


def _configured(function: Function) -> str:
    known, first = function.settings.get, EmbeddingSettings()
    dimension = known("OPENAI_EMBEDDING_DIMENSION") or str(first.dimension)
    model = known("OPENAI_EMBEDDING_MODEL") or first.model
    return configured(known("OPENAI_API_KEY"), model, int(dimension) if dimension.isdecimal() else 0)
