"""Containers that report, each a thread: `python -m tests.chaos.report_writers` with one JSON object on its input.

What a container says follows from the seed and its number, so that who reads the database knows it too. The output is
a JSON object with what became of each task: `ended`, or the name of what went wrong.
"""

import hashlib
import json
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shared.domain.redaction import redact
from shared.runner import RunnerError, Task

ENDED = "ended"
EVENTS = 60
_ALPHABETS = (
    "".join(map(chr, range(0x20, 0x7F))),
    "\"'\\/`{}[]<>&%$#\t\n\r",
    "".join(map(chr, [*range(1, 0x20), 0x7F, *range(0x80, 0xA0)])),
    "äßçøłžñÅ\u0301\u0308\u200d\u200f\u202e\u2028\u2029\ufeff\ufffd\uffff",
    "漢字かなカナ한글العربيةעבריתहिन्दी",
    "😀👩‍👩‍👧🏳️‍🌈𝔘𐍈\U0010ffff",
)
_JSON, _NDJSON = "application/json", "application/x-ndjson"


class Writer(msgspec.Struct, frozen=True):
    """One container: what it says follows from `number`."""

    number: int
    task: str
    token: str


class Orders(msgspec.Struct, frozen=True):
    """What a process of writers is told. `how` is `sdk`, or `hand`: any order, any batches, and repeats."""

    how: str
    seed: str
    url: str
    folder: str
    seconds: float
    writers: list[Writer]


@dataclass(frozen=True)
class Said:
    """One event: `content` as it is to be stored, and beside it what makes it a snapshot or usage."""

    sequence: int
    kind: str
    content: Any
    snapshot: tuple[str, str] | None = None

    def event(self, task: str) -> dict[str, Any]:
        """The event as it is sent."""
        event = {"eventId": f"{task}-1-{self.sequence}", "sequence": self.sequence, "eventType": self.kind}
        if self.snapshot:
            return event | {"snapshot": {"type": self.snapshot[0], "content": self.snapshot[1]}}
        return event | ({"usage": self.content} if self.kind == "usage" else {"content": self.content})


def story(seed: str, number: int, texts_only: bool) -> list[Said]:
    """Everything that one container says, in order; the last of it ends the run."""
    dice = random.Random(f"{seed} {number}")  # noqa: S311  # nobody must be unable to guess it
    said = [_one(dice, sequence, texts_only) for sequence in range(1, EVENTS)]
    return [*said, Said(EVENTS, "completed", _text(dice))]


def _one(dice: random.Random, sequence: int, texts_only: bool) -> Said:
    kind = dice.choices(["progress", "log", "heartbeat", "usage", "snapshot"], [10, 10, 2, 3, 2])[0]
    if kind == "heartbeat":
        return Said(sequence, kind, None)
    if kind == "usage":
        return Said(sequence, kind, {"inputTokens": dice.randint(1, 10**6), "outputTokens": dice.randint(1, 10**4)})
    if kind == "snapshot":
        when, text = dice.choice(["before", "after"]), _text(dice)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Said(sequence, kind, {"snapshot": when, "digest": digest}, (when, text))
    return Said(sequence, kind, _text(dice) if texts_only or dice.random() < 0.5 else _document(dice))


def _text(dice: random.Random) -> str:
    """Any characters, few or many; nothing that looks like a credential by chance."""
    length = dice.choices([dice.randint(0, 3), dice.randint(4, 300), dice.randint(301, 20_000)], [5, 90, 5])[0]
    while True:
        alphabet = dice.choice(_ALPHABETS) if dice.random() < 0.5 else "".join(_ALPHABETS)
        text = "".join(dice.choices(alphabet, k=length)).encode("utf-8", "replace").decode()
        if redact(text) == text:
            return text


def _document(dice: random.Random, depth: int = 0) -> Any:
    while True:
        document = _any(dice, depth)
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        if redact(text) == text:
            return document


def _any(dice: random.Random, depth: int) -> Any:
    kind = dice.choice(["text", "number", "word", "list", "object"] if depth < 4 else ["text", "number", "word"])
    if kind == "number":
        return dice.choice([0, -1, dice.randint(-(2**53), 2**53), dice.randint(-(10**6), 10**6) / 64])
    if kind == "word":
        return dice.choice([True, False, None])
    if kind == "text":
        return "".join(dice.choices("".join(_ALPHABETS), k=dice.randint(0, 30)))
    members = [_any(dice, depth + 1) for _ in range(dice.randint(0, 4))]
    if kind == "list":
        return members
    return {f"{place} {dice.choice(_ALPHABETS[4])}": member for place, member in enumerate(members)}


def by_sdk(orders: Orders, writer: Writer) -> str:
    folder = Path(orders.folder) / str(writer.number)
    folder.mkdir(parents=True)
    for name, text in (("prompt", "report"), ("token", writer.token)):
        (folder / name).write_text(text)
    deadline = datetime.now(UTC) + timedelta(seconds=orders.seconds)
    url = f"{orders.url}/v1/codex/tasks/{writer.task}"
    env = {
        "CODEX_TASK_ID": writer.task,
        "CODEX_ATTEMPT": "1",
        "CODEX_PROMPT_FILE": str(folder / "prompt"),
        "CODEX_CALLBACK_URL": url,
        "CODEX_CALLBACK_TOKEN_FILE": str(folder / "token"),
        "CODEX_MEMORY_ENDPOINT": f"{url}/memory",
        "CODEX_SPOOL_DIR": str(folder / "spool"),
        "CODEX_DEADLINE": deadline.isoformat(),
    }
    dice = random.Random(writer.number)  # noqa: S311
    *work, end = story(orders.seed, writer.number, texts_only=True)
    try:
        with Task.from_env(env) as task:
            for said in work:
                _tell(task, said)
                time.sleep(dice.uniform(0, 0.3))
            task.complete(end.content)
    except RunnerError as error:
        return f"{type(error).__name__}: {error}"
    return ENDED


def _tell(task: Task, said: Said) -> None:
    if said.kind == "heartbeat":
        task.heartbeat()
    elif said.kind == "usage":
        task.usage(**said.content)
    elif said.snapshot:
        task.snapshot(*said.snapshot)
    else:
        getattr(task, said.kind)(said.content)


def by_hand(orders: Orders, writer: Writer) -> str:
    """Nobody's SDK: random batches of what is not confirmed yet, in any order, with some that is; at last the end."""
    dice = random.Random(f"{orders.seed} {writer.number} order")  # noqa: S311
    *work, end = [said.event(writer.task) for said in story(orders.seed, writer.number, texts_only=False)]
    give_up = time.monotonic() + orders.seconds
    left = dict(enumerate(work))
    while time.monotonic() < give_up:
        numbers = dice.sample(sorted(left), min(len(left), dice.randint(1, 12)))
        batch = [*(left[number] for number in numbers), *dice.sample(work, dice.randint(0, 4))] if left else [end]
        dice.shuffle(batch)
        status, answer, wait = _post(orders, writer, *_form(dice, batch))
        if status == 200 and batch == [end]:
            return ENDED if (answer["status"], answer["gaps"]) == ("succeeded", []) else str(answer)
        if status == 200:
            left = {number: event for number, event in left.items() if number not in numbers}
        elif status not in (0, 429, 500, 502, 503, 504):
            return f"the answer was {status}: {answer}"
        time.sleep(wait + dice.uniform(0, 1.5))
    return f"{len(left)} events and the end were not confirmed in time"


def _form(dice: random.Random, batch: Sequence[Any]) -> tuple[str, bytes]:
    """The batch as one event, a list or lines; characters as escapes or as they are."""
    escaped = dice.random() < 0.5
    lines = [json.dumps(event, ensure_ascii=escaped).encode() for event in batch]
    if len(lines) == 1 and dice.random() < 0.5:
        return _JSON, lines[0]
    if dice.random() < 0.5:
        return _NDJSON, b"\n".join(lines) + b"\n" * dice.randint(0, 1)
    return _JSON, b"[" + b",".join(lines) + b"]"


def _post(orders: Orders, writer: Writer, content_type: str, body: bytes) -> tuple[int, dict[str, Any], float]:
    """Status, answer and the seconds to wait that it asks for; 0 without an answer."""
    connection = HTTPConnection(urlsplit(orders.url).netloc, timeout=10)
    headers = {"Authorization": f"Bearer {writer.token}", "Content-Type": content_type}
    try:
        connection.request("POST", f"/v1/codex/tasks/{writer.task}/events", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), float(response.getheader("Retry-After", "0"))
    except (OSError, HTTPException, ValueError):
        return 0, {}, 0.0
    finally:
        connection.close()


def main() -> None:
    orders = msgspec.json.decode(sys.stdin.buffer.read(), type=Orders)
    work = {"sdk": by_sdk, "hand": by_hand}[orders.how]
    with ThreadPoolExecutor(len(orders.writers)) as threads:
        ends = list(threads.map(lambda writer: work(orders, writer), orders.writers))
    print(json.dumps({writer.task: end for writer, end in zip(orders.writers, ends, strict=True)}))


if __name__ == "__main__":
    main()
