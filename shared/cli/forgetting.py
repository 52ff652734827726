"""How forgetting is shown: what goes, and who has seen it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.cli.terminal import plain, utc
from shared.domain.forgetting import Forgotten, Found, Sight

NOTHING = "nothing to forget: it is forgotten already"
_CHANNELS = {"prompt": "in its prompt file", "query": "in an answer that it asked for"}
_REDIS = {
    True: "vectors in Redis dropped; one that is being made at this moment expires within a day",
    False: "Redis is away: vectors there expire within a day",
    None: "FACTEUR_REDIS_URL is not set: vectors in Redis, if there are any, expire within a day",
}


def preview(found: Found) -> str:
    """What would be forgotten, and below it who has seen it."""
    kinds = ", ".join(f"{plain(kind)} {number}" for kind, number in sorted(found.memories.items()))
    tenants = ", ".join(map(plain, found.tenants))
    what = f"{_memories(sum(found.memories.values()))} of {_many(found.matching, 'task')} of tenant {tenants}"
    return "\n".join([what + (f": {kinds}" if kinds else ""), *_sights(found.seen_by)])


def outcome(done: Forgotten, in_redis: bool | None) -> str:
    """What was forgotten, what went with it, and what stays."""
    lines = []
    if done.memories or done.tasks:
        gone = f"{_memories(sum(done.memories.values()))} and {_many(done.vectors, 'vector')}"
        lines = [f"forgotten: {gone}; {_many(len(done.tasks), 'task')} will not be remembered again"]
    purged, later = done.prompts
    if purged or later:
        due = f", {later} once their runs are over" if later else ""
        lines.append(f"{_many(purged, 'prompt file')} purged{due}")
    return "\n".join([*lines, _REDIS[in_redis]] if lines else [NOTHING])


def document(found: Found, done: Forgotten | None = None, in_redis: bool | None = None) -> dict[str, Any]:
    """The same as JSON; without `done` nothing was forgotten now."""
    return {
        "done": done is not None,
        "tenants": list(found.tenants),
        "matchingTasks": found.matching,
        "tasks": len(done.tasks) if done else found.tasks,
        "memories": dict(sorted((done or found).memories.items())),
        "seenBy": [_sight(one) for one in (done or found).seen_by],
        "vectors": done.vectors if done else 0,
        "promptsPurged": done.prompts[0] if done else 0,
        "promptsDue": done.prompts[1] if done else 0,
        "redisForgotten": in_redis,
    }


def as_json(shown: Mapping[str, Any]) -> str:
    return json.dumps(shown, indent=2, ensure_ascii=True)


def _sight(one: Sight) -> dict[str, Any]:
    return {
        "taskId": str(one.task_id),
        "attempt": one.attempt,
        "channel": one.channel,
        "at": utc(one.at),
        "memories": one.memories,
        "over": one.over,
    }


def _sights(seen_by: Sequence[Sight]) -> list[str]:
    if not seen_by:
        return ["no run has seen any of it"]
    lines = [
        f"  {one.task_id}  attempt {one.attempt}  {utc(one.at)}  {_memories(one.memories)} {_CHANNELS[one.channel]}"
        + ("" if one.over else ", not over yet")
        for one in seen_by
    ]
    in_prompts = any(one.channel == "prompt" for one in seen_by)
    hint = ["the text stays in these prompt files, unless --purge-prompts takes it out once a run is over"]
    return ["seen by:", *lines, *(hint if in_prompts else [])]


def _memories(number: int) -> str:
    return f"{number} {'memory' if number == 1 else 'memories'}"


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
