"""Bad days of a callback: each is the stand-in with one thing that goes wrong."""

import time

from shared.local.conformance.stand_in import CUT, Answer, Request, StandIn, ends, problem

AWAY_SECONDS = 3.0
BUSY_SECONDS = 2
_HOLD_SECONDS = 1.0


class LosesAnswers(StandIn):
    """Keeps the first report and the one that ends the attempt, and cuts the connection before it has answered."""

    def take(self, request: Request) -> Answer:
        kept = super().take(request)
        if not self.wronged or (ends(request) and not any(map(ends, self.wronged))):
            self.wronged.append(request)
            return CUT
        return kept


class Busy(StandIn):
    """Answers the first report with 429 and the second with 503, and says after how many seconds to come again."""

    def take(self, request: Request) -> Answer:
        if len(self.wronged) == 2:
            return super().take(request)
        self.wronged.append(request)
        return problem(429 if len(self.wronged) == 1 else 503, **{"Retry-After": str(BUSY_SECONDS)})


class AwayAtFirst(StandIn):
    """Cuts every connection that brings a report, until some seconds after the first."""

    def take(self, request: Request) -> Answer:
        if request.began > self.reports[0].began + AWAY_SECONDS:
            return super().take(request)
        self.wronged.append(request)
        return CUT


class Forgets(StandIn):
    """Confirms the first event and does not keep it, as after a database was restored; then it tells of the gap."""

    def take(self, request: Request) -> Answer:
        if self.wronged or ends(request):
            answer = super().take(request)
        else:
            self.wronged.append(request)
            kept = self.keep(request.events[1:])
            answer = Answer(200, {**(kept.body or {}), "accepted": len(request.events)})
        if self.wronged and not self.end and (answer.body or {}).get("gaps"):
            self.reached.set()
        return answer


class Holds(StandIn):
    """Lets the first report wait, so that there is a moment at which the container is surely at work."""

    def take(self, request: Request) -> Answer:
        if not self.wronged:
            self.wronged.append(request)
            self.reached.set()
            self.released.wait(10)
            time.sleep(_HOLD_SECONDS)
        return super().take(request)


class Fences(StandIn):
    """Says of every report that the attempt is over: another one has taken its place."""

    status = 409

    def take(self, request: Request) -> Answer:
        self.wronged.append(request)
        self.reached.set()
        return problem(self.status)


class Refuses(Fences):
    """Does not accept the task's token any more."""

    status = 401
