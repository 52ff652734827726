"""Looks at what was asked for, all at once, and has it judged. Nothing is changed anywhere."""

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import replace
from functools import partial

from shared.doctor import (
    access_checks,
    database_checks,
    eventing_checks,
    function_checks,
    network_checks,
    server_checks,
    settings_checks,
    work_checks,
)
from shared.doctor.at_once import begin
from shared.doctor.checks import NotJudged, Report, Unseen, examine, of_modules
from shared.doctor.deployed import Deployed
from shared.doctor.looks import LOOKS, Asked, Seen
from shared.domain.condition import Clock

CHECKS = of_modules(
    settings_checks,
    database_checks,
    work_checks,
    server_checks,
    function_checks,
    eventing_checks,
    access_checks,
    network_checks,
)
# One look takes milliseconds, and every question of it has a timeout of its own.
_SECONDS = 30.0


def look(asked: Asked) -> Report:
    """The report of everything."""
    begun = begin({names: partial(each, asked) for names, each in LOOKS.items()})
    wait_for(begun.values(), timeout=_SECONDS)  # what is slow is told to be, and not waited for
    seen = [_outcome(names, done) for names, done in begun.items()]
    parts: dict[str, object] = {"namespace": asked.namespace}
    clocks: list[Clock] = []
    away: dict[str, tuple[str, str]] = {}
    for each in seen:
        parts |= each.parts
        clocks += each.clocks
        away |= each.away
    parts["settings"] = settings_of(parts)
    parts["clocks"] = clocks or Unseen("nothing with a clock was looked at", wanted=False)
    servers = any(each.servers for each in seen)
    parts["away"] = away if servers else Unseen("no server was named", wanted=False)
    return _complete(examine(CHECKS, parts), parts.get("deployed"))


def _outcome(names: tuple[str, ...], done: Future[Seen]) -> Seen:
    """What was seen; a look that breaks or takes too long hides no other."""
    if not done.done():
        why = "the look took too long"
    elif (error := done.exception()) is None:
        return done.result()
    else:
        why = f"the look broke ({type(error).__name__})"
    return Seen(dict.fromkeys(names, Unseen(f"{names[0]}: {why}", wanted=True)), servers=False)


def settings_of(parts: Mapping[str, object]) -> object:
    """Settings are those of here and those of the cluster, whichever were looked at."""
    local, deployed = parts["local"], parts["deployed"]
    functions = tuple(deployed.functions.values()) if isinstance(deployed, Deployed) else ()
    if isinstance(local, tuple):
        return (*local, *functions)
    return functions or (deployed if isinstance(deployed, Unseen) and deployed.wanted else local)


def _complete(report: Report, deployed: object) -> Report:
    """With what could not be seen of the settings in a cluster."""
    if not isinstance(deployed, Deployed) or not deployed.opaque:
        return report
    why = f"{', '.join(deployed.opaque)} read a file in their pods (FACTEUR_CONFIG_FILE): give that file with --config"
    return replace(report, not_looked=(*report.not_looked, NotJudged(("settings-wrong",), why, wanted=True)))
