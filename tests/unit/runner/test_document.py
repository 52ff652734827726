"""docs/runner.md says all of the SDK, of the wrapper's options and of the checks, and nothing that is not there."""

import re
import subprocess
import sys

from shared.local.conformance.checks import CHECKS
from shared.runner import Task
from tests.architecture.markdown import table
from tests.architecture.tree import ROOT

DOCUMENT = "docs/runner.md"


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_table_of_the_sdk_has_every_public_name_of_a_task() -> None:
    named = set().union(*(words(row[0]) for row in table(DOCUMENT, "of a `Task`")))
    attributes = {"id", "attempt", "prompt", "deadline", "mask"}  # they are made when a task is
    assert named == attributes | {name for name in vars(Task) if not name.startswith("_")}


def test_the_table_of_options_is_what_the_wrapper_takes() -> None:
    command = [sys.executable, "-m", "shared.runner", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^ +(--[a-z-]+)", told, re.MULTILINE))
    assert {found for row in table(DOCUMENT, "option") for found in re.findall(r"--[a-z-]+", row[0])} == options


def test_the_table_of_checks_is_what_is_checked() -> None:
    named = {name: row[1] == "yes" for row in table(DOCUMENT, "check") for name in words(row[0])}
    assert named == {one.name: one.required for one in CHECKS} | {"hides": True}
