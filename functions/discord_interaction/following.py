"""Has errands run behind the answers, and cards followed."""

import time
from functools import partial
from typing import TYPE_CHECKING

from functions.discord_interaction.after import After, Try
from functions.discord_interaction.wishes import Errand, Progress, Requested
from shared import telemetry
from shared.web.deferred import Deferred

if TYPE_CHECKING:
    from functions.discord_interaction import wiring
else:
    wiring = Deferred("functions.discord_interaction.wiring")  # drivers are loaded behind the acknowledgement

# The answer goes out first: loading drivers would hold it up, and Discord knows nothing to edit before.
_AFTER_THE_ANSWER_SECONDS = 0.2
# So long before its token ends an errand is given up: that it was in vain can still be said, and said again.
LAST_WORDS_SECONDS = 30.0


class Following:
    """Nothing here is waited for by whoever calls."""

    def __init__(self) -> None:
        self._after = After()

    def take(self, errand: Errand) -> bool:
        """Runs the errand for as long as its interaction can be answered; False if there is too much to do already."""
        left = max(errand.opened.until.timestamp() - time.time(), 0.0)
        grace = min(left, LAST_WORDS_SECONDS)
        return self._after.take(partial(_run, errand, Progress()), left - grace, _AFTER_THE_ANSWER_SECONDS, grace)


def _run(errand: Errand, progress: Progress, this: Try) -> None:
    with telemetry.RequestSpan("discord-interaction errand", errand.traceparent):
        if isinstance(errand.wish, Requested):
            telemetry.about_task(errand.wish.task)
        try:
            wiring.serve(errand, this.number, this.last, progress)
        finally:
            wiring.follower.start()
