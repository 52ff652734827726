"""discord-interaction: what follows an acknowledgement is done, again and again, and told truthfully."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from functions.discord_interaction.after import After, Briefly, Try
from functions.discord_interaction.serve import Serve
from functions.discord_interaction.tell import Tell
from functions.discord_interaction.wishes import (
    Ended,
    Errand,
    Progress,
    Remembered,
    Requested,
    Search,
    Status,
    Timeline,
    Wish,
)
from shared.domain.card import Opened
from shared.domain.discord import Message, Posted
from shared.domain.errors import Gone, Rejected, Throttled, Unavailable
from shared.domain.ids import run_id
from shared.domain.memory import Recalled
from shared.domain.memory_index import Filters, Question
from shared.domain.session import Session
from shared.events.cancel import Cancel
from shared.events.event import Event
from tests.contract.stores.conftest import Stores, fakes
from tests.patience import PATIENCE

TASK = run_id("asked")
EVENT = Event("1", "/x", "t")
TOKEN = "t"
GUILD = "70"


class Broker:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        if self.error:
            raise self.error
        self.events.append(event)


class Cards:
    """Notes which were opened; away if it is told so."""

    def __init__(self) -> None:
        self.away = False
        self.tasks: list[UUID] = []

    def opened(self, task_id: UUID, interaction: Opened) -> None:
        if self.away:
            raise Unavailable("the database is away: try again")
        self.tasks.append(task_id)


class Sessions:
    def __init__(self) -> None:
        self.known: dict[str, Session] = {}

    def put(self, user: str, session: Session) -> None:
        self.known[user] = session

    def get(self, user: str) -> Session | None:
        return self.known.get(user)


class Discord:
    """One message that is edited."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.error: Exception | None = None

    def edit_original(self, interaction_token: str, message: Message) -> Posted:
        if self.error:
            raise self.error
        self.texts.append(message.content)
        return Posted("1", "2")


class NoMemories:
    def search(self, question: Question, filters: Filters, limit: int) -> Sequence[Recalled]:
        return []

    def nearest_to_task(self, task: UUID, limit: int) -> Sequence[Recalled]:
        return []


class Scene:
    """An errand's surroundings."""

    def __init__(self) -> None:
        self.stores: Stores = fakes()
        self.broker, self.cards, self.sessions, self.discord = Broker(), Cards(), Sessions(), Discord()
        self.said: list[Event] = []
        self.progress = Progress()
        tell = Tell(self.stores.views, self.stores.card_facts, self.sessions, NoMemories(), lambda _: "", GUILD)
        cancel = Cancel(self.stores.runs, self.said.append, "discord-interaction")
        self.serve = Serve(self.broker, self.cards, self.sessions, self.discord, tell, cancel, "codex")

    def run(
        self, wish: Wish, number: int = 0, last: bool = False, named: bool = False, token: str = TOKEN,
        guild: str | None = "7",
    ) -> None:  # fmt: skip
        opened = Opened("12", token, "8", guild, "42", False, datetime.fromtimestamp(0, UTC))
        self.serve(Errand(wish, opened, named, "00-" + "a" * 32 + "-" + "b" * 16 + "-01"), number, last, self.progress)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_request_that_the_broker_has_gets_its_session_and_its_card(scene: Scene) -> None:
    scene.run(Requested(EVENT, TASK, taken=True))
    assert (scene.cards.tasks, scene.broker.events, scene.discord.texts) == ([TASK], [], [])
    session = scene.sessions.known["42"]
    assert (session.correlation_id, session.workflow_name, session.trace_id) == (str(TASK), f"codex-{TASK}-1", "a" * 32)


def test_what_the_broker_does_not_take_is_admitted_once_and_at_the_end(scene: Scene) -> None:
    scene.broker.error = Unavailable("the broker did not answer")
    for number in (0, 1):
        with pytest.raises(Unavailable):
            scene.run(Requested(EVENT, TASK, taken=False), number)
    scene.run(Requested(EVENT, TASK, taken=False), 2, last=True)
    first, end = scene.discord.texts
    assert "is not queued yet: the broker did not answer" in first
    assert "may not have been queued" in end
    assert (scene.cards.tasks, scene.sessions.known) == ([], {})
    scene.broker.error = None
    scene.run(Requested(EVENT, TASK, taken=False), 1)
    assert (scene.broker.events, scene.cards.tasks) == ([EVENT], [TASK])


def test_what_cannot_be_admitted_yet_is_admitted_as_soon_as_it_can_be(scene: Scene) -> None:
    scene.broker.error = Unavailable("the broker did not answer")
    scene.discord.error = Unavailable("Discord does not answer")
    wish = Requested(EVENT, TASK, taken=False)
    for number in (0, 1):
        with pytest.raises(Unavailable):
            scene.run(wish, number)
    scene.discord.error = None
    for number in (2, 3):
        with pytest.raises(Unavailable):
            scene.run(wish, number)
    (text,) = scene.discord.texts
    assert "is not queued yet" in text


def test_that_it_was_in_vain_is_said_until_it_is_said(scene: Scene) -> None:
    scene.broker.error = Unavailable("the broker did not answer")
    scene.discord.error = Unavailable("Discord does not answer")
    wish = Requested(EVENT, TASK, taken=False)
    for number in (7, 8):
        with pytest.raises(Unavailable):
            scene.run(wish, number, last=True)
    scene.discord.error = None
    scene.run(wish, 9, last=True)
    (text,) = scene.discord.texts
    assert "may not have been queued" in text


@pytest.mark.parametrize("guild", ["7", None], ids=["another server", "direct message"])
def test_what_is_remembered_is_shown_on_the_operators_server_or_to_who_is_named(
    scene: Scene, guild: str | None
) -> None:
    task = scene.stores.accept("remembered", caller="discord:42").run_id
    for wish in (Search("words", "", ""), Remembered(task)):
        scene.run(wish, guild=guild)
        assert "FACTEUR_DISCORD_GUILD_ID" in scene.discord.texts[-1]
        for allowed in ({"guild": GUILD}, {"guild": guild, "named": True}):
            scene.run(wish, **allowed)
            assert "Nothing is remembered" in scene.discord.texts[-1]


def test_what_the_broker_refuses_for_ever_is_said_and_not_tried_again(scene: Scene) -> None:
    scene.broker.error = Rejected("the broker refused an event with 413")
    scene.run(Requested(EVENT, TASK, taken=False))
    assert "the broker refuses it" in scene.discord.texts[0]


def test_a_card_that_cannot_be_kept_does_not_make_the_task_look_lost(scene: Scene) -> None:
    scene.cards.away = True
    with pytest.raises(Unavailable):
        scene.run(Requested(EVENT, TASK, taken=True))
    assert scene.discord.texts[0].startswith(f"Task `{TASK}` is queued")


def test_a_later_try_does_not_take_the_session_from_a_later_request(scene: Scene) -> None:
    scene.sessions.known["42"] = later = Session("codex", "w", "m", "later", "")
    scene.run(Requested(EVENT, TASK, taken=True), number=3)
    assert scene.sessions.known["42"] is later


def test_without_a_token_nothing_is_shown(scene: Scene) -> None:
    scene.run(Requested(EVENT, TASK, taken=True), token="")
    scene.run(Status(TASK), token="")
    assert (scene.cards.tasks, scene.discord.texts) == ([], [])


def test_a_message_that_is_gone_ends_the_errand(scene: Scene) -> None:
    scene.discord.error = Gone("unknown webhook")
    scene.run(Status(TASK))


def test_a_discord_that_is_busy_is_asked_again(scene: Scene) -> None:
    scene.discord.error = Throttled("too many", 3)
    with pytest.raises(Throttled):
        scene.run(Status(TASK))


def test_a_task_of_another_is_ended_only_by_who_is_named(scene: Scene) -> None:
    task = scene.stores.accept("another").run_id
    scene.run(Ended(task))
    assert "no task" in scene.discord.texts[-1]
    scene.run(Ended(task), named=True)
    assert scene.discord.texts[-1] == f"Task `{task}` is canceled."
    scene.run(Ended(task), named=True)
    assert "over already" in scene.discord.texts[-1]
    assert len(scene.said) == 1


def test_a_timeline_is_contained_whatever_it_says(scene: Scene) -> None:
    task = scene.stores.accept("another").run_id
    scene.run(Timeline(task), named=True)
    text = scene.discord.texts[-1]
    assert "accepted" in text and text.count("```") == 2 and len(text) <= 2000


def done(job: Callable[[Try], None], seconds: float = 3600) -> After:
    after = After(threads=2)
    assert after.take(job, seconds)
    return after


def test_a_job_is_tried_again_until_it_succeeds() -> None:
    tries: list[Try] = []
    over = threading.Event()

    def job(this: Try) -> None:
        tries.append(this)
        if len(tries) < 3:
            raise Unavailable("away", 0)
        over.set()

    done(job)
    assert over.wait(PATIENCE)
    assert [(this.number, this.last) for this in tries] == [(0, False), (1, False), (2, False)]


def test_a_job_whose_time_is_up_has_a_last_try() -> None:
    tries: list[Try] = []
    over = threading.Event()

    def job(this: Try) -> None:
        tries.append(this)
        if this.last:
            over.set()
        raise Unavailable("away", 0)

    done(job, seconds=0.1)
    assert over.wait(PATIENCE)
    assert tries[-1].last and not any(this.last for this in tries[:-1])


def test_a_last_try_that_fails_is_made_again_in_the_time_that_is_left() -> None:
    tries: list[Try] = []
    over = threading.Event()

    def job(this: Try) -> None:
        tries.append(this)
        if len(tries) == 3:
            over.set()
            return
        raise Unavailable("away", 0)

    after = After(threads=1)
    assert after.take(job, 0, grace=3600)
    assert over.wait(PATIENCE)
    assert [this.last for this in tries] == [True] * 3


def test_a_process_that_stops_tries_everything_once_more() -> None:
    tries: list[Try] = []
    first = threading.Event()

    def job(this: Try) -> None:
        tries.append(this)
        first.set()
        raise Unavailable("away", 500)

    after = done(job)
    assert first.wait(PATIENCE)
    after.drain(PATIENCE)
    assert [this.last for this in tries] == [False, True]


def test_a_job_that_breaks_does_not_end_its_thread() -> None:
    over = threading.Event()
    after = After(threads=1)

    def broken(_: Try) -> None:
        raise RuntimeError

    after.take(broken, 60)
    after.take(lambda _: over.set(), 60)
    assert over.wait(PATIENCE)


def test_more_than_fits_is_refused() -> None:
    after = After(threads=1, capacity=2)
    ran: list[Try] = []
    answers = [after.take(ran.append, 60, wait=1000) for _ in range(3)]
    assert answers == [True, True, False]
    after.drain(PATIENCE)
    assert len(ran) == 2


def test_a_look_that_takes_too_long_or_fails_is_done_without() -> None:
    go = threading.Event()
    briefly, impatient = Briefly(seconds=PATIENCE, at_once=1), Briefly(seconds=0.05, at_once=1)

    def fails() -> str:
        raise Unavailable("away")

    assert briefly(lambda: "found", "nothing") == "found"
    settle(briefly)
    assert briefly(fails, "nothing") == "nothing"
    assert impatient(lambda: str(go.wait(PATIENCE)), "nothing") == "nothing"
    assert impatient(lambda: "found", "nothing") == "nothing", "one looks at a time"
    go.set()


def settle(briefly: Briefly) -> None:
    """Its thread has given its place back."""
    deadline = time.monotonic() + PATIENCE
    while briefly._places._value == 0 and time.monotonic() < deadline:
        time.sleep(0.001)
