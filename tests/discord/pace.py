"""People who use Discord all at once: interactions at a fixed rate, whether the answers to earlier ones came or not."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shared.local.discord import AUTOCOMPLETE, COMMAND, PING, command, interaction
from tests.discord.simulator import ADA, Acknowledged, Discord
from tests.discord.world import ANSWER_SECONDS

# Of ten interactions; most ask for a task.
_MIX = (
    *((COMMAND, command(["codex", "implement"], {"prompt": "do it"})),) * 5,
    (COMMAND, command(["codex", "status"], {})),
    (COMMAND, command(["codex", "cancel"], {"task": "00000000-0000-4000-8000-000000000000"})),
    (COMMAND, command(["plan"], {})),
    (AUTOCOMPLETE, command(["codex", "status"], {"task": "0"}, focused="task")),
    (PING, dict[str, Any]()),
)
# As many wait for an answer at the same time as come in four seconds.
_AT_ONCE = 200


@dataclass(frozen=True)
class Paced:
    """How one interaction went; `seconds` count from when it was due."""

    seconds: float
    acknowledged: Acknowledged

    @property
    def late(self) -> bool:
        return self.seconds > ANSWER_SECONDS or self.acknowledged.status != 200


def at_rate(discord: Discord, url: str, number: int, rate: float) -> Sequence[Paced]:
    """Sends so many interactions of every kind, `rate` a second."""
    began = time.monotonic()

    def one(place: int) -> Paced:
        due = began + place / rate
        time.sleep(max(due - time.monotonic(), 0))
        kind, data = _MIX[place % len(_MIX)]
        answered = discord.interact(url, _made(kind, data))
        return Paced(time.monotonic() - due, answered)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(one, range(number)))


def _made(kind: int, data: Mapping[str, Any]) -> dict[str, Any]:
    return interaction(kind, data, ADA)
