"""What is wrong with a run, in words; "" if nothing is."""

from collections import Counter
from collections.abc import Mapping

from shared.local.conformance import faults
from shared.local.conformance.stand_in import ENDS, ends
from shared.local.conformance.trial import GRACE_SECONDS, Trial

_EARLY_SECONDS = 0.05
_MOST_SAID = 200


class NotSeen(Exception):
    """The run did not come to the point; the message says why."""


def authorised(trial: Trial) -> str:
    asked = [request for request in trial.stand_in.requests if request.method != "PUT"]
    bad = [request for request in asked if request.headers.get("authorization") != f"Bearer {trial.stand_in.token}"]
    return f"{len(bad)} of {len(asked)} requests came without the token" if bad else _silence(trial)


def valid(trial: Trial) -> str:
    if not trial.stand_in.refused and _silence(trial):
        raise NotSeen("no event arrived")
    return next(iter(trial.stand_in.refused), "")


def numbered(trial: Trial) -> str:
    sent = [event for request in trial.stand_in.reports for event in request.events]
    if not sent:
        raise NotSeen("no event arrived")
    numbers = [event["sequence"] for event in trial.stand_in.kept.values()]
    if missing := sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers)):
        return f"the sequence has no number {missing[0]}"
    if doubled := [number for number, times in Counter(numbers).items() if times > 1]:
        return f"the number {doubled[0]} was given to different events"
    changed = [event for event in sent if trial.stand_in.kept.get(event["eventId"], event) != event]
    return f"different events have the eventId {changed[0]['eventId']!r}" if changed else ""


def ended(trial: Trial) -> str:
    if not trial.stand_in.end:
        return _silence(trial) or f"neither completed nor failed was reported{_how(trial)}"
    if trial.stand_in.late:
        return f"{trial.stand_in.late[0]['eventType']} was reported after {trial.stand_in.end}"
    kept = list(trial.stand_in.kept.values())
    last = [event for event in kept if event["eventType"] in ENDS]
    if len(last) > 1 or last[0]["sequence"] < max(event["sequence"] for event in kept):
        return f"{trial.stand_in.end} is not the one last event"
    return ""


def exit_code(trial: Trial) -> str:
    if trial.exit_code is None:
        return f"it still ran after {trial.seconds:.0f} s"
    if (trial.exit_code == 0) != (trial.stand_in.end == "completed"):
        return f"exit code {trial.exit_code} after {trial.stand_in.end or 'no end'}"
    return ""


def completed(trial: Trial) -> str:
    said = next((event.get("content") for event in trial.stand_in.kept.values() if event["eventType"] == "failed"), "")
    return "" if trial.stand_in.end == "completed" else str(said)[:_MOST_SAID] or f"it did not complete{_how(trial)}"


def artifacts(trial: Trial) -> str:
    left = trial.stand_in.artifacts
    if not left:
        raise NotSeen("none was left")
    for artifact in left.values():
        if not artifact.committed:
            said = "was never committed" if artifact.fits() else "was never uploaded"
            return f"the artifact {artifact.promised.name!r} {artifact.problem or said}"
    return ""


def reads_prompt(trial: Trial) -> str:
    if trial.stand_in.end == "completed" or trial.exit_code == 0:
        return "without a prompt file it ended well"
    return "" if trial.exit_code else f"without a prompt file it still ran after {trial.seconds:.0f} s"


def concluded(trial: Trial) -> str:
    """What is looked at in runs whose own matter is another."""
    if trial.exit_code is None:
        return f"it still ran after {trial.seconds:.0f} s"
    return "" if trial.stand_in.end else f"neither completed nor failed was reported{_how(trial)}"


def repeats(trial: Trial) -> str:
    for lost in trial.stand_in.wronged:
        later = (request for request in trial.stand_in.reports if request.began > lost.began)
        again = [event for request in later for event in request.events]
        if missing := [event for event in lost.events if event not in again]:
            return f"the {missing[0]['eventType']} whose answer was lost was not sent again as it was"
    return concluded(trial)


def waits(trial: Trial) -> str:
    for request in trial.stand_in.wronged:
        told = request.answered or request.began
        soonest = min((one.began for one in trial.stand_in.reports if one.began > told), default=None)
        if soonest is not None and soonest < told + faults.BUSY_SECONDS - _EARLY_SECONDS:
            return f"{request.status} asked for {faults.BUSY_SECONDS} s, and it came after {soonest - told:.1f} s"
    return survives(trial)


def survives(trial: Trial) -> str:
    kept = {event["sequence"] for event in trial.stand_in.kept.values()}
    tried = {event["sequence"] for request in trial.stand_in.wronged for event in request.events}
    if lost := sorted(tried - kept):
        return f"event {lost[0]} was not sent again{_how(trial)}"
    return concluded(trial)


def fills_gaps(trial: Trial) -> str:
    if not trial.stand_in.reached.is_set():
        raise NotSeen("there were too few reports to tell it of a gap")
    forgotten = trial.stand_in.wronged[0].events[0]
    if forgotten["eventId"] in trial.stand_in.kept:
        return ""
    return f"the missing event {forgotten['sequence']} was not sent again"


def stops(trial: Trial) -> str:
    stand_in = trial.stand_in
    if not stand_in.reached.is_set():
        return _silence(trial) or ended(trial)
    if any(map(ends, stand_in.wronged)):
        raise NotSeen("it reports everything at once, at its end")
    if trial.exit_code is None:
        return f"it still ran {GRACE_SECONDS:.0f} s after SIGTERM"
    if stand_in.end != "failed":
        return f"after SIGTERM {stand_in.end or 'no end'} was reported{_how(trial)}"
    return "" if trial.exit_code else "exit code 0 after failed"


def gives_up(trial: Trial) -> str:
    if not trial.stand_in.wronged:
        return _silence(trial)
    first = trial.stand_in.wronged[0]
    more = [request for request in trial.stand_in.reports if request.began > (first.answered or first.began)]
    if more:
        return f"after the {first.status} it sent {len(more)} more"
    if trial.exit_code is None:
        return f"it still ran {GRACE_SECONDS:.0f} s after the {first.status}"
    return "exit code 0, though its work is void" if trial.exit_code == 0 else ""


def hides(trials: Mapping[str, Trial]) -> str:
    """Looks at all runs."""
    for name, trial in trials.items():
        token = trial.stand_in.token.encode()
        if token in trial.output:
            return f"it is in the output of the run {name!r}"
        if any(token in request.body for request in trial.stand_in.requests):
            return f"it is in what was sent in the run {name!r}"
        puts = [request for request in trial.stand_in.requests if request.method == "PUT"]
        if any(trial.stand_in.token in request.headers.get("authorization", "") for request in puts):
            return "it was sent to the place of the uploads, which has nothing to do with it"
    return ""


def _silence(trial: Trial) -> str:
    return "" if any(request.events for request in trial.stand_in.reports) else f"no event arrived{_how(trial)}"


def _how(trial: Trial) -> str:
    ended = f"exit code {trial.exit_code}" if trial.exit_code is not None else f"killed after {trial.seconds:.0f} s"
    return f" ({ended}; its last words: {trial.last_words[:_MOST_SAID] or 'none'})"
