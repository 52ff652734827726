"""What a container is asked to do, one check each: in which run it is seen, and what to do if it is not done."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.local.conformance import faults, judges
from shared.local.conformance.containers import Container
from shared.local.conformance.trial import Scenario, Trial, run

SCENARIOS: Mapping[str, Scenario] = {
    "plain": Scenario(),
    "no prompt": Scenario(prompt=False),
    "unknown variables": Scenario(env={"CODEX_VERSION_2": "1", "TRACEPARENT": ""}),
    "lost answers": Scenario(faults.LosesAnswers),
    "busy": Scenario(faults.Busy),
    "away": Scenario(faults.AwayAtFirst),
    "forgetful": Scenario(faults.Forgets),
    "stopped": Scenario(faults.Holds, stops=True, terminates=True),
    "fenced": Scenario(faults.Fences, stops=True),
    "refused": Scenario(faults.Refuses, stops=True),
}


class State(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_SEEN = "not seen"


@dataclass(frozen=True)
class Check:
    """`judge` looks at the run `scenario`. What is not `required` is advice.

    One that looks for a failure says something only of a container that otherwise completes.
    """

    name: str
    title: str
    scenario: str
    judge: Callable[[Trial], str]
    advice: str
    required: bool = True
    by_failure: bool = False


@dataclass(frozen=True)
class Finding:
    """What became of a check. `problem` says what was seen instead; `advice` what to do."""

    name: str
    title: str
    required: bool
    state: State
    problem: str = ""
    advice: str = ""


CHECKS = (
    Check(
        "authorises",
        "sends the token of the token file with every request",
        "plain",
        judges.authorised,
        "Send `Authorization: Bearer` and the content of the file that CODEX_CALLBACK_TOKEN_FILE names.",
    ),
    Check(
        "valid",
        "sends nothing that the callback would refuse",
        "plain",
        judges.valid,
        "Send JSON as docs/runner.md describes it: eventId, sequence, eventType, and what belongs to the type.",
    ),
    Check(
        "numbers",
        "numbers its events from 1 without a gap, each under an eventId of its own",
        "plain",
        judges.numbered,
        "Count up by one for each event, and derive the eventId from task, attempt and number.",
    ),
    Check(
        "ends",
        "ends once, by its last event",
        "plain",
        judges.ended,
        "Report `completed` or `failed` whatever happens, once, and nothing after it.",
    ),
    Check(
        "exit-code",
        "exits with 0 if it completed, and only then",
        "plain",
        judges.exit_code,
        "Exit with 0 after `completed` was stored, with another code in every other case.",
    ),
    Check(
        "artifacts",
        "leaves artifacts by promise, upload and commit",
        "plain",
        judges.artifacts,
        "POST name, size and sha256, PUT the bytes with the headers of the answer, POST to commit.",
    ),
    Check(
        "prompt",
        "works on the prompt file",
        "no prompt",
        judges.reads_prompt,
        "Read the file that CODEX_PROMPT_FILE names, and fail where there is none.",
        by_failure=True,
    ),
    Check(
        "variables",
        "does not mind CODEX_ variables that it does not know, nor a missing TRACEPARENT",
        "unknown variables",
        judges.concluded,
        "Ignore what you do not know: later versions of facteur say more.",
    ),
    Check(
        "repeats",
        "repeats an event whose answer got lost, under the same eventId",
        "lost answers",
        judges.repeats,
        "Without an answer nobody knows whether an event is stored: send the same bytes again; twice is once.",
    ),
    Check(
        "waits",
        "comes again after 429 and 503, and not before Retry-After",
        "busy",
        judges.waits,
        "Wait as many seconds as Retry-After says before the next report, then send the same again.",
    ),
    Check(
        "survives",
        f"survives a callback that is away for {faults.AWAY_SECONDS:.0f} s at the start",
        "away",
        judges.survives,
        "Keep events until they are stored, and go on trying until the deadline.",
    ),
    Check(
        "stops",
        "reports `failed` after SIGTERM, and exits within the grace",
        "stopped",
        judges.stops,
        "Handle SIGTERM in process 1: stop the work, report `failed`, exit with another code than 0.",
    ),
    Check(
        "fenced",
        "stops at a 409",
        "fenced",
        judges.gives_up,
        "409 says that the attempt is over: send nothing more, end the work, exit with another code than 0.",
    ),
    Check(
        "refused",
        "stops at a 401",
        "refused",
        judges.gives_up,
        "401 says that the token is void: send nothing more, end the work, exit with another code than 0.",
    ),
    Check(
        "gaps",
        "sends again what the callback says it misses",
        "forgetful",
        judges.fills_gaps,
        "Keep every event until the end, and send those again whose numbers stand in `gaps`.",
        required=False,
    ),
    Check(
        "completes",
        "completes the trial prompt",
        "plain",
        judges.completed,
        "That it fails is no breach of the contract; pass what it needs with --env, or another --prompt.",
        required=False,
    ),
)
_HIDES = "shows the token nowhere: not in events, artifacts or output"
_HIDES_ADVICE = "Replace the token in whatever is reported or printed, and send it to facteur alone."


def check(container: Container, prompt: str, timeout: float) -> Iterator[Finding]:
    """One finding after another, as the runs go on; `timeout` seconds for each run.

    A container that reports nothing at all is run once.
    """
    trials: dict[str, Trial] = {}
    for one in CHECKS:
        if one.scenario not in trials:
            trials[one.scenario] = run(container, SCENARIOS[one.scenario], prompt, timeout)
        yield _finding(one, trials)
        if not trials["plain"].stand_in.reports:
            return
    problem = judges.hides(trials)
    state = State.FAILED if problem else State.PASSED
    yield Finding("hides", _HIDES, True, state, problem, _HIDES_ADVICE if problem else "")


def _finding(one: Check, trials: Mapping[str, Trial]) -> Finding:
    try:
        if one.by_failure and trials["plain"].stand_in.end != "completed":
            raise judges.NotSeen("it does not complete at all")
        problem = one.judge(trials[one.scenario])
    except judges.NotSeen as reason:
        return Finding(one.name, one.title, one.required, State.NOT_SEEN, str(reason))
    state = State.FAILED if problem else State.PASSED
    return Finding(one.name, one.title, one.required, state, problem, one.advice if problem else "")
