"""`facteur runner check`: who keeps the contract passes, and who breaks it in one way is found out by one check."""

import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.local.conformance.checks import CHECKS, Finding, State, check
from shared.local.conformance.containers import Command
from shared.local.conformance.trial import PROMPT
from tests.architecture.markdown import fences
from tests.component.runner.container import eventually

# The first test waits for every container.
pytestmark = pytest.mark.timeout(300)

AGENT = Path(__file__).with_name("plain_agent.py")
TIMEOUT = 60.0
AT_ONCE = 10
WORK = ["sh", "-c", "cat >prompt.txt; echo read it"]
(SCRIPT,) = (block for block in fences("docs/runner.md", "sh") if block.startswith("#!/bin/sh"))
HONEST = {
    "": [sys.executable, str(AGENT)],
    "the stand-in agent": [sys.executable, "-m", "shared.local.agent"],
    "the wrapper around a command": [sys.executable, "-m", "shared.runner", "--artifact", "*.txt", "--", *WORK],
    "sh and curl": ["sh", "-c", SCRIPT],
}
FLAWS = {one.name: one.name for one in CHECKS} | {
    "hides": "hides",
    "hides-in-event": "hides",
    "numbers-twice": "numbers",
    "stops-silently": "stops",
}

Findings = dict[str, Finding]


def findings(*command: str) -> Findings:
    return {finding.name: finding for finding in check(Command(command, {}), PROMPT, TIMEOUT)}


@pytest.fixture(scope="module")
def seen() -> Mapping[str, Findings]:
    """What is found with each, by name. Most of the time all of them wait."""
    asked = {flaw: [sys.executable, str(AGENT), flaw] for flaw in FLAWS} | HONEST
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda command: findings(*command), asked.values())
        return dict(zip(asked, found, strict=True))


@pytest.mark.parametrize("name", HONEST)
def test_who_keeps_the_contract_passes_every_check(seen: Mapping[str, Findings], name: str) -> None:
    assert [finding for finding in seen[name].values() if finding.state is State.FAILED] == []


def test_every_check_is_seen_to_be_passed(seen: Mapping[str, Findings]) -> None:
    assert {finding.state for finding in seen[""].values()} == {State.PASSED}
    assert seen[""].keys() == {*(one.name for one in CHECKS), "hides"}


@pytest.mark.parametrize("flaw", FLAWS)
def test_who_breaks_the_contract_in_one_way_is_found_out_by_that_check_alone(
    seen: Mapping[str, Findings], flaw: str
) -> None:
    failed = [finding for finding in seen[flaw].values() if finding.state is State.FAILED]
    assert [finding.name for finding in failed] == [FLAWS[flaw]]
    assert failed[0].problem
    assert failed[0].advice


def test_who_never_says_how_it_ended_is_found_out() -> None:
    found = findings(sys.executable, str(AGENT), "ends-never")
    assert found["ends"].problem == "neither completed nor failed was reported (exit code 0; its last words: none)"
    assert (found["exit-code"].state, found["prompt"].state) == (State.FAILED, State.NOT_SEEN)


def test_who_reports_nothing_is_run_once_and_its_last_words_are_told() -> None:
    found = findings(sys.executable, "-c", "import sys; sys.exit('there is no codex here')")
    assert list(found) == ["authorises"]
    assert found["authorises"].problem == "no event arrived (exit code 1; its last words: there is no codex here)"


def test_who_does_not_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    container = Command([sys.executable, "-c", program], {})
    (finding,) = check(container, PROMPT, 20)
    assert re.fullmatch(r"no event arrived \(killed after \d+ s; its last words: none\)", finding.problem)
    child = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    eventually(lambda: not child.exists() or child.read_text().split()[2] == "Z", "the child's end")
