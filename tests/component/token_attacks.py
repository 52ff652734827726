"""Ten thousand requests with task tokens that are not right for what they ask."""

import hashlib
import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

from shared.domain.task_token import Scope, mint_task_token, narrow
from tests.component.conftest import COLLEAGUE_TOKEN, STRANGER_TOKEN
from tests.component.functions import API_TOKEN, TOKEN_SECRET

SUBSTITUTES = 32  # for each character of a token
OTHER_KEY = "the-key-of-task-tokens-of-somebody-else"
CONTENT = b"left by a container"


@dataclass(frozen=True)
class Verb:
    """Something a task token is good for. `path` comes after that of the task."""

    name: str
    function: str
    scope: Scope
    method: str
    path: str
    body: bytes = b""
    accepted: int = 200


_EVENT = {"eventId": "attack", "sequence": 1, "eventType": "progress", "content": "it was me"}
_FILE = {"name": "attack", "size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
VERBS = (
    Verb("report", "callback", Scope.EVENTS, "POST", "/events", json.dumps(_EVENT).encode()),
    Verb("promise", "callback", Scope.ARTIFACTS, "POST", "/artifacts", json.dumps(_FILE).encode(), 201),
    Verb("commit", "callback", Scope.ARTIFACTS, "POST", "/artifacts/{artifact}/commit"),
    Verb("remember", "memory-query", Scope.MEMORY, "GET", "/memory"),
    Verb("ask", "memory-query", Scope.MEMORY, "POST", "/memory/query", b'{"text": "what was there"}'),
    Verb("look", "codex-intake", Scope.TASK, "GET", ""),
)


@dataclass(frozen=True)
class Running:
    """A task that runs, its token, and a file of it that only waits for being committed."""

    id: UUID
    token: str
    artifact: str


@dataclass(frozen=True)
class Attack:
    """A verb on a task with a value for the Authorization header that is not right for it."""

    kind: str
    verb: Verb
    task: UUID
    artifact: str
    header: str | bytes | None


def altered(token: str) -> Iterator[str]:
    """Every character of it exchanged for many others."""
    dice = random.Random(token)  # noqa: S311  # nobody must be unable to guess it
    others = string.ascii_letters + string.digits + "-_.+/=~"
    for place, character in enumerate(token):
        for other in dice.sample([one for one in others if one != character], SUBSTITUTES):
            yield token[:place] + other + token[place + 1 :]


def forged(token: str, foreign: str) -> Iterator[tuple[str, str | bytes | None]]:
    """Kinds of headers that are wrong for everything, with the word for it."""
    kind, attempt, mac = token.split("_", 2)
    for changed in altered(token):
        yield "altered", f"Bearer {changed}"
    for length in range(len(token)):
        yield "truncated", f"Bearer {token[:length]}"
    for more in (*string.ascii_letters, *string.digits, "-", "_", "=", "==", mac, f"_{mac}", f" {token}", f",{token}"):
        yield "extended", f"Bearer {token}{more}"
    for number in (0, 2, 3, 10, 999_999, 1_000_000, -1, "01", "+1", "1.0", "\uff11", "", " 1"):
        yield "attempt", f"Bearer {kind}_{number}_{mac}".encode()
    yield "foreign", f"Bearer {foreign}"
    for scopes in ("events", "events.task", "artifacts.events.memory.task", "", "all", "EVENTS", "events.", "."):
        yield "scopes made up", f"Bearer {kind}_{attempt}_{scopes}_{mac}"
        yield "scopes of a foreign task", f"Bearer {narrow(foreign, [*Scope])}"
    for scope in Scope:
        one = narrow(token, [scope])
        yield "widened", f"Bearer {one.replace(scope, 'artifacts.events.memory.task', 1)}"
        yield "without its scopes", f"Bearer {one.replace(f'_{scope}', '', 1)}"
        yield "narrowed again", f"Bearer {narrow(one, [*Scope])}"
    for header in _nonsense(token):
        yield "nonsense", header


def _nonsense(token: str) -> Iterator[str | bytes | None]:
    yield from (None, "", " ", "Bearer", "Bearer ", "Bearer null", f"Basic {token}", f"Token {token}", token)
    yield from (f"Bearer={token}", f"Bearer:{token}", f"Bearer Bearer {token}", f"Bearer '{token}'")
    yield from ("Bearer " + "x" * 8192, "Bearer fct_1_" + "A" * 8192, f"Bearer {token}" + " " * 8 + "x" * 8192)
    yield from (f"Bearer {token}é".encode(), ("Bearer fct_1_" + "é" * 43).encode(), "Bearer 🔑🔑🔑".encode())
    yield from (f"Bearer {token}\x00".encode(), f"Bearer {token}\x7f".encode(), b"Bearer \xff\xfe" + token.encode())
    yield from (f"Bearer {token.upper()}", f"Bearer {token.lower()}", f"Bearer {token[::-1]}")
    yield from ("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", "Bearer " + "A" * 43, "Bearer fct_1_" + "A" * 43)


def attacks(live: Running, foreign: Running, fenced: Running, over: Running) -> Iterator[Attack]:
    """Every one is refused."""
    for verb in VERBS:
        for kind, header in forged(live.token, foreign.token):
            yield Attack(kind, verb, live.id, live.artifact, header)
        own = f"Bearer {live.token}"
        yield Attack("foreign file", verb, foreign.id, live.artifact, own)
        yield Attack("unknown task", verb, uuid4(), live.artifact, own)
        yield Attack("other key", verb, live.id, live.artifact, f"Bearer {mint_task_token(OTHER_KEY, live.id, 1)}")
        for attempt in (0, 2, 7):
            token = mint_task_token(TOKEN_SECRET, live.id, attempt)
            yield Attack("another attempt", verb, live.id, live.artifact, f"Bearer {token}")
        others = [scope for scope in Scope if scope != verb.scope]
        for scopes in ([others[0]], [others[1]], others):
            yield Attack("narrowed", verb, live.id, live.artifact, f"Bearer {narrow(live.token, scopes)}")
        for kind, run in (("fenced", fenced), ("expired", over)):
            yield Attack(kind, verb, run.id, run.artifact, f"Bearer {run.token}")
            yield Attack(kind, verb, run.id, run.artifact, f"Bearer {narrow(run.token, [*Scope])}")
        yield Attack("caller", verb, live.id, live.artifact, f"Bearer {STRANGER_TOKEN}")
        if verb.function == "callback":
            for token in (API_TOKEN, COLLEAGUE_TOKEN):
                yield Attack("caller", verb, live.id, live.artifact, f"Bearer {token}")


# All others are 401. 409 is another attempt's turn; 404 is the API's answer to a caller of another tenant.
STATUSES = {
    "narrowed": {403},
    "fenced": {401, 409},
    "another attempt": {401, 404, 409},
    "caller": {401, 404},
    "nonsense": {400, 401},
}
