"""Discord as a function meets it: interactions come from it, and what follows them goes to it."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3
from nacl.signing import SigningKey

from shared.discord.client import DiscordApi
from shared.local.discord import (
    APPLICATION,
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL,
    PING,
    Person,
    click,
    command,
    filled,
    interaction,
    signed,
)
from tests.discord.server import BOT_TOKEN, Api
from tests.discord.shapes import answer_faults
from tests.discord.world import ANSWER_SECONDS, Known, Shown, World
from tests.serving import serving

KEY = SigningKey(b"\x07" * 32)
ADA = Person()


class Clock:
    """The time of the simulator: it goes by itself until it is stopped, and can be moved forward."""

    def __init__(self) -> None:
        self._moved = 0.0
        self._stopped: float | None = None

    def __call__(self) -> float:
        return (time.time() if self._stopped is None else self._stopped) + self._moved

    def stop(self) -> None:
        """From now on it is only moved: however slow the machine is, no time passes."""
        self._stopped = time.time()

    def move(self, seconds: float) -> None:
        self._moved += seconds


@dataclass
class Acknowledged:
    """How an interaction was answered: after how many seconds, with which status and answer (None if in vain)."""

    seconds: float
    status: int
    answer: Any
    known: Known

    @property
    def said(self) -> str:
        """The text that the user sees at once."""
        return str((self.answer or {}).get("data", {}).get("content", ""))

    @property
    def original(self) -> Shown:
        """The message that answers the interaction."""
        assert self.known.original, "nothing is shown"
        return self.known.original


class Discord:
    """One Discord with one application. `faults` has everything that broke a rule; it must stay empty."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.world = World(self.clock)
        self.api = Api(self.world, self.clock)
        self._http = urllib3.PoolManager(retries=False, timeout=15, maxsize=64)

    @property
    def faults(self) -> list[str]:
        return self.world.faults

    @property
    def messages(self) -> list[Shown]:
        return [shown for shown in self.world.messages.values() if shown.history]

    def settings(self) -> dict[str, str]:
        """The environment of a function that is this application."""
        return {
            "FACTEUR_DISCORD_PUBLIC_KEY": KEY.verify_key.encode().hex(),
            "FACTEUR_DISCORD_APPLICATION_ID": APPLICATION,
            "FACTEUR_DISCORD_BOT_TOKEN": BOT_TOKEN,
            "FACTEUR_DISCORD_API_URL": self.api.url,
        }

    def client(self, bot_token: str | None = BOT_TOKEN, timeout: float = 5.0) -> DiscordApi:
        """The door to this Discord; where it waits, the clock is moved instead."""
        return DiscordApi(self.api.url, APPLICATION, bot_token, timeout, self.clock, self.clock.move)

    def interact(self, url: str, document: Mapping[str, Any], key: SigningKey = KEY) -> Acknowledged:
        """Sends an interaction to the function at `url` and holds it to the three seconds, and to the shapes."""
        known = self.world.come(document)
        body, headers = signed(key.encode().hex(), document)
        began = self.clock()
        got = self._http.request("POST", f"{url}/interactions", body=body, headers=headers)
        seconds = self.clock() - began
        answer = json.loads(got.data) if got.status == 200 else None
        faults = answer_faults(document["type"], answer) if got.status == 200 else []
        self.faults.extend(faults)
        if answer is not None and not faults and seconds <= ANSWER_SECONDS and document["type"] != PING:
            self.world.acknowledge(known, answer)
        return Acknowledged(seconds, got.status, answer, known)

    def command(
        self, url: str, names: Sequence[str], options: Mapping[str, str] | None = None, who: Person = ADA
    ) -> Acknowledged:
        """Someone uses a slash command."""
        return self.interact(url, interaction(COMMAND, command(names, options or {}), who, self.clock()))

    def complete(
        self, url: str, names: Sequence[str], options: Mapping[str, str], focused: str, who: Person = ADA
    ) -> list[str]:
        """Someone types an option; the values that are proposed."""
        data = command(names, options, focused)
        answered = self.interact(url, interaction(AUTOCOMPLETE, data, who, self.clock()))
        return [choice["value"] for choice in answered.answer["data"]["choices"]]

    def press(self, url: str, shown: Shown, label: str, who: Person = ADA) -> Acknowledged:
        """Someone presses a button of a message."""
        return self.click(url, shown, shown.buttons[label], who)

    def click(self, url: str, shown: Shown, custom_id: str, who: Person = ADA) -> Acknowledged:
        """A click with any custom_id, real or not."""
        document = interaction(COMPONENT, click(custom_id), who, self.clock())
        return self.interact(url, document | {"channel_id": shown.channel_id, "message": shown.document()})

    def submit(self, url: str, form: Mapping[str, Any], values: Mapping[str, str], who: Person = ADA) -> Acknowledged:
        """Someone fills and sends the modal that an interaction was answered with."""
        data = filled(form["data"]["custom_id"], values)
        return self.interact(url, interaction(MODAL, data, who, self.clock()))

    def forget(self, shown: Shown) -> None:
        """Somebody deletes the message."""
        shown.deleted = True

    def forbid(self, channel_id: str) -> None:
        """The bot may no longer see and write in the channel."""
        self.world.forbidden.add(channel_id)


@contextmanager
def discord() -> Iterator[Discord]:
    """A Discord that runs, and that nobody may break a rule of."""
    running = Discord()
    with serving(running.api):
        yield running
    assert running.faults == []
