"""The use case: an errand is run until the user has been told the truth about it."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from functions.discord_interaction.tell import TENANT, Tell, caller
from functions.discord_interaction.wishes import Ended, Errand, Progress, Requested
from shared.domain.card import Opened
from shared.domain.discord import Message, Posted
from shared.domain.errors import FacteurError, Forbidden, Gone, Rejected, Unavailable
from shared.domain.ids import resource_name
from shared.domain.session import Session
from shared.domain.task import Cancellation
from shared.events.cancel import Cancel
from shared.events.event import Event

_FIRST_ATTEMPT = 1
_IN_VAIN = " `/codex status` shows whether it is there; if it is not, please try again."


class _NotQueued(Unavailable):
    """The broker does not have the task yet."""


class Publisher(Protocol):
    """Hands an event to the broker; Unavailable if it did not take it, Rejected if it never will."""

    def publish(self, event: Event) -> None: ...


class Cards(Protocol):
    """Messages that follow a task each."""

    def opened(self, task_id: UUID, interaction: Opened) -> None: ...


class Sessions(Protocol):
    """What each user asked for last."""

    def put(self, user: str, session: Session) -> None: ...


class Answers(Protocol):
    """Puts a message where an interaction was acknowledged; Gone once that is not possible any more."""

    def edit_original(self, interaction_token: str, message: Message) -> Posted: ...


class Serve:
    """Runs errands. Unavailable means: again later; each may be run any number of times."""

    def __init__(
        self, publisher: Publisher, cards: Cards, sessions: Sessions, answers: Answers, tell: Tell, cancel: Cancel,
        namespace: str,
    ) -> None:  # fmt: skip
        self._publisher = publisher
        self._cards = cards
        self._sessions = sessions
        self._answers = answers
        self._tell = tell
        self._cancel = cancel
        self._namespace = namespace

    def __call__(self, errand: Errand, number: int, last: bool, progress: Progress) -> None:
        """`number`: how many tries there were before; `last`: whether there is none after it.

        The user is told once that the errand waits, and at the end that it was in vain. Until that is said the
        last try is as good as none, and raises Unavailable too.
        """
        try:
            message = self._run(errand, number)
        except Unavailable as error:
            if last or not progress.admitted:
                progress.admitted = self._admit(errand, error, last)
            if not (last and progress.admitted):
                raise
            return
        except FacteurError as error:
            message = Message(str(error))
        if message:
            self._answer(errand.opened, message)

    def _run(self, errand: Errand, number: int) -> Message | None:
        if isinstance(errand.wish, Requested):
            return self._request(errand, errand.wish, number)
        if isinstance(errand.wish, Ended):
            return self._end(errand, errand.wish.task)
        return self._tell(errand)

    def _request(self, errand: Errand, wish: Requested, number: int) -> Message | None:
        """The card takes over from here."""
        if not wish.taken:
            try:
                self._publisher.publish(wish.event)
            except Rejected:
                return Message(f"Task `{wish.task}` was not queued: the broker refuses it. Please say it differently.")
            except Unavailable as error:
                raise _NotQueued(str(error), error.retry_after) from None
        if errand.opened.user_id and (number == 0 or not wish.taken):
            # Not with every try: a later request may have come meanwhile.
            self._sessions.put(errand.opened.user_id, self._session(errand, wish.task))
        if errand.opened.token:
            self._cards.opened(wish.task, errand.opened)
        return None

    def _session(self, errand: Errand, task: UUID) -> Session:
        trace = (errand.traceparent or "").split("-")
        return Session(
            namespace=self._namespace,
            workflow_name=resource_name(task, _FIRST_ATTEMPT),
            message=f"task {task} was requested",
            correlation_id=str(task),
            trace_id=trace[1] if len(trace) > 1 else "",
        )

    def _end(self, errand: Errand, task: UUID) -> Message:
        row = self._tell.visible(errand, task)
        by = caller(errand.opened)
        if not errand.named and row["caller"] != by:
            raise Forbidden("Somebody else asked for this task, and nobody said who else may end it.")
        return Message(_said(task, self._cancel(task, TENANT, by, errand.traceparent), row))

    def _admit(self, errand: Errand, error: Unavailable, last: bool) -> bool:
        """Says what is away; False if that cannot be said either, and is to be said next time."""
        why = str(error).partition(":")[0]
        task = f"Task `{errand.wish.task}`" if isinstance(errand.wish, Requested) else ""
        if isinstance(error, _NotQueued):
            text = f"{task} may not have been queued: {why}." if last else f"{task} is not queued yet: {why}."
        else:
            text = f"{task} is queued, and I cannot follow it: {why}." if task else f"I cannot do it: {why}."
        text += _IN_VAIN if last else " I keep trying for as long as Discord lets me answer."
        try:
            self._answer(errand.opened, Message(text))
        except FacteurError as failed:
            return not isinstance(failed, Unavailable)
        return True

    def _answer(self, opened: Opened, message: Message) -> None:
        try:
            if opened.token:
                self._answers.edit_original(opened.token, message)
        except Gone:
            return  # nobody can be told any more


def _said(task: UUID, found: Cancellation, row: Mapping[str, object]) -> str:
    if found.fresh:
        return f"Task `{task}` is canceled." if found.status.final else f"Task `{task}` is asked to stop."
    if found.status.final:
        return f"Task `{task}` is over already: {found.status.value}."
    return f"Task `{task}` is asked to stop already; it is {row['status']} still."
