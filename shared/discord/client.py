"""Discord's HTTP API: a message is edited, sent, given a thread; commands are registered."""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from shared import telemetry
from shared.discord import answers
from shared.discord.limits import Answer, Limits, Route, Turn
from shared.discord.messages import body
from shared.domain.discord import Message, Posted
from shared.domain.errors import FacteurError, Gone, Rejected, Throttled, Unavailable

if TYPE_CHECKING:
    import urllib3

# How long a request waits for its turn here; whoever would wait longer is told when to come again.
LONGEST_PAUSE = 2.0
# What follows an acknowledgement may be faster than the acknowledgement: for a moment Discord knows no message yet.
_NOT_THERE_YET = (answers.UNKNOWN_WEBHOOK, answers.UNKNOWN_MESSAGE, answers.UNKNOWN_INTERACTION)
_TRIES_SECONDS = (0.5, 1.0)
_THREAD_NAME = 100
_MAX_ANSWER = 4 * 1024 * 1024
_USER_AGENT = "DiscordBot (https://github.com/proompteng/facteur, 0.1.0)"
_OUTCOMES = {Gone: "gone", Throttled: "throttled", Unavailable: "unavailable", Rejected: "refused"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Reply:
    """The JSON of an answer, and the error that it is, if it is one."""

    document: Any
    error: FacteurError | None

    @property
    def code(self) -> int | None:
        return answers.code(self.document) if self.error else None

    def read(self) -> Any:
        if self.error:
            raise self.error
        return self.document

    def posted(self) -> Posted:
        """Where the message is that the answer shows."""
        message = self.read()
        return Posted(_id_in(message, "channel_id"), _id_in(message, "id"))


class DiscordApi:
    """Safe for threads; connects with the first call. `timeout` in seconds, for connecting and for each read.

    Raises Gone where message, channel, permission or token is gone for ever, Throttled or Unavailable with the
    seconds to wait, and Rejected where Discord cannot make sense of what it was sent.
    """

    def __init__(
        self,
        base_url: str,
        application_id: str,
        bot_token: str | None,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url
        self._application_id = application_id
        self._bot_token = bot_token
        self._timeout = timeout
        self._sleep = sleep
        self._limits = Limits(clock)

    def edit_original(self, interaction_token: str, message: Message) -> Posted:
        """Edits the first answer to an interaction, or gives it its text; within 15 minutes of the interaction."""
        return _counted(lambda: self._by_token(interaction_token, message))

    def edit_message(self, at: Posted, message: Message) -> None:
        """Edits a message of the bot, however old it is."""
        path = f"/channels/{_id(at.channel_id)}/messages/{_id(at.message_id)}"
        route = Route("PATCH", "/channels/*/messages/*", at.channel_id, bot=True)
        _counted(lambda: self._request(route, path, body(message)).read())

    def start_thread(self, at: Posted, name: str) -> str:
        """The id of the thread at a message; it is made if there is none yet."""
        path = f"/channels/{_id(at.channel_id)}/messages/{_id(at.message_id)}/threads"
        route = Route("POST", "/channels/*/messages/*/threads", at.channel_id, bot=True)
        called = " ".join(name.split())[:_THREAD_NAME]
        reply = self._request(route, path, {"name": called})
        if reply.code == answers.THREAD_IS_THERE:
            return at.message_id  # a thread has the id of the message that it hangs on
        return _id_in(reply.read(), "id")

    def send(self, channel_id: str, message: Message, key: str | None = None) -> Posted:
        """Sends a message to a channel or thread. Within minutes the same `key` (25 characters) is the same message."""
        route = Route("POST", "/channels/*/messages", channel_id, bot=True)
        once = {"nonce": key, "enforce_nonce": True} if key else {}
        return self._request(route, f"/channels/{_id(channel_id)}/messages", body(message) | once).posted()

    def register(self, commands: Sequence[Mapping[str, Any]], guild_id: str | None) -> None:
        """Replaces the application's commands by these: in one guild at once, or everywhere."""
        scope = f"/guilds/{_id(guild_id)}" if guild_id else ""
        route = Route("PUT", "/applications/*/guilds/*/commands" if guild_id else "/applications/*/commands", "", True)
        self._request(route, f"/applications/{_id(self._application_id)}{scope}/commands", list(commands)).read()

    def _by_token(self, token: str, message: Message) -> Posted:
        if not re.fullmatch(r"[A-Za-z0-9_=-]{1,1024}", token):
            raise Gone("this is not the token of an interaction")
        route = Route("PATCH", "/webhooks/*/*/messages/@original", token, bot=False)
        path = f"/webhooks/{_id(self._application_id)}/{token}/messages/@original"
        for pause in _TRIES_SECONDS:
            reply = self._request(route, path, body(message))
            if reply.code not in _NOT_THERE_YET:
                return reply.posted()
            self._sleep(pause)
        return self._request(route, path, body(message)).posted()

    def _request(self, route: Route, path: str, content: Any) -> _Reply:
        """Sends one request when it is its turn; Unavailable if nobody answers."""
        if route.bot and not self._bot_token:
            raise Gone("FACTEUR_DISCORD_BOT_TOKEN is not set")
        turn, given = self._turn(route), None
        try:
            given, document = self._exchange(route, path, content)
        finally:
            self._limits.settle(route, turn, given)
        if given.status == 429:
            telemetry.count("facteur_discord_rate_limits_total", scope=given.scope)
        return _Reply(document, None if given.status < 300 else answers.meaning(given, document))

    def _turn(self, route: Route) -> Turn:
        left = LONGEST_PAUSE
        while (turn := self._limits.turn(route)).pause:
            if turn.pause > left:
                telemetry.count("facteur_discord_rate_limits_total", scope="own")
                raise Throttled("Discord's limits allow no more requests for now", math.ceil(turn.pause))
            self._sleep(turn.pause)
            left -= turn.pause
        return turn

    def _exchange(self, route: Route, path: str, content: Any) -> tuple[Answer, Any]:
        from urllib3.exceptions import HTTPError

        headers = {"Content-Type": "application/json", "User-Agent": _USER_AGENT}
        if route.bot:
            headers["Authorization"] = f"Bot {self._bot_token}"
        sent = json.dumps(content).encode()
        try:
            got = self._pool.request(
                route.method, self._base_url + path, body=sent, headers=headers, redirect=False, preload_content=False
            )
            data = got.read(_MAX_ANSWER)
            got.release_conn()
        except (HTTPError, OSError):
            raise answers.away() from None
        document = answers.parsed(data)
        return answers.answer(got.status, got.headers, document), document

    @cached_property
    def _pool(self) -> "urllib3.PoolManager":
        import urllib3  # not at the start of a process, where somebody waits for an acknowledgement

        # At DEBUG it writes down the path of each request, and below ERROR the address of some. The interaction's
        # token is in them. A connection for each thread that may send at once: it warns when it drops one.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        return urllib3.PoolManager(maxsize=32, timeout=urllib3.Timeout(self._timeout), retries=False)


def _counted(edit: Callable[[], T]) -> T:
    """What the edit gives, with its outcome counted."""
    try:
        done = edit()
    except FacteurError as error:
        telemetry.count("facteur_discord_edits_total", outcome=_OUTCOMES[type(error)])
        raise
    telemetry.count("facteur_discord_edits_total", outcome="edited")
    return done


def _id(said: str) -> str:
    """An id as it may stand in a path."""
    if not re.fullmatch(r"[0-9]{1,20}", said):
        raise Rejected("this is no id of Discord")
    return said


def _id_in(document: Any, name: str) -> str:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, str) or not re.fullmatch(r"[0-9]{1,20}", found):
        raise Unavailable("this is not how Discord answers: check FACTEUR_DISCORD_API_URL", 300)
    return found
