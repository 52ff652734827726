"""The stand-in for a coding agent on a laptop: no model, and it says so.

`python -m shared.local.agent` is started where the Codex container would be. It does real work by fixed
rules, through the runner SDK alone: in a new git repository (`scratch/` in the working folder) it
writes a checklist module from the prompt, a unit test for it and notes on the memories it was shown,
runs the test, commits, and leaves the patch as an artifact.

Two lines in a prompt steer it, for tests; what memories say does not:

- `facteur: fail` leaves a step out of the module, so that the unit test fails and the task with it;
- `facteur: sleep N` waits N seconds with heartbeats before the work.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.runner import Away, Memory, RunnerError, Task

_NAME = "facteur stand-in agent"
_FENCED = re.compile(r"(?ms)^<recalled-memory-([\w-]+)>$.*^</recalled-memory-\1>$")
_DIRECTIVE = re.compile(r"(?m)^facteur: (fail|sleep \d{1,4})[ \t]*$")
_SEPARATORS = re.compile(r"(?<=[.!?;])\s+|\s*\n\s*")
_MAX_STEPS, _MAX_STEP, _MAX_QUESTION = 20, 200, 8000
_SECONDS = 60

_MODULE = '''"""What the task asks for, step by step. Written by the stand-in agent: fixed rules, no model."""

STEPS = (
{steps}
)


def remaining(done):
    """The steps that are not done yet, in order."""
    return [step for step in STEPS if step not in done]
'''

_TEST = """import unittest

import checklist

EXPECTED = (
{steps}
)


class Checklist(unittest.TestCase):
    def test_every_step_of_the_prompt_is_listed(self):
        self.assertEqual(checklist.STEPS, EXPECTED)

    def test_nothing_remains_once_all_is_done(self):
        self.assertEqual(checklist.remaining(EXPECTED), [])

    def test_a_step_that_is_done_no_longer_remains(self):
        self.assertEqual(checklist.remaining(EXPECTED[:1]), list(EXPECTED[1:]))


if __name__ == "__main__":
    unittest.main()
"""


class CannotWork(Exception):
    """The task fails; the message says why."""


@dataclass(frozen=True)
class Order:
    """What the prompt file asks for, without what it recalls."""

    text: str
    fails: bool
    seconds: int


def read_order(prompt: str) -> Order:
    """The order in a prompt file. Fenced memories are data: no directive is taken from them."""
    text = _FENCED.sub("", prompt)
    directives = _DIRECTIVE.findall(text)
    seconds = sum(int(directive.split()[1]) for directive in directives if directive != "fail")
    return Order(_DIRECTIVE.sub("", text).strip(), "fail" in directives, seconds)


def steps_of(text: str, memories: Sequence[Memory]) -> list[str]:
    """The sentences and lines of the order, each once, and a look at each earlier task."""
    sentences = (" ".join(part.split()).lstrip("-*# ") for part in _SEPARATORS.split(text))
    steps = list(dict.fromkeys(sentence[:_MAX_STEP] for sentence in sentences if sentence))[:_MAX_STEPS]
    tasks = dict.fromkeys(str(memory.provenance.get("taskId")) for memory in memories)
    return [*(steps or ["Ask what is wanted: the prompt is empty"]), *(f"Compare with task {task}" for task in tasks)]


class Scratch:
    """A new git repository with a first, empty commit; nothing of the user's git configuration is read."""

    def __init__(self, folder: Path, title: str) -> None:
        self._git = shutil.which("git") or ""
        if not self._git:
            raise CannotWork("git is not installed here, or not on PATH: the agent works in a git repository")
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier start that was killed
        folder.mkdir()
        self.folder = folder
        self.git("init", "--quiet")
        self.git("symbolic-ref", "HEAD", "refs/heads/main")
        self.base = self.commit(title)

    def git(self, *arguments: str) -> str:
        identity = {"NAME": _NAME, "EMAIL": "agent@facteur.invalid"}
        people = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in identity.items()}
        apart = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), **people, **apart}
        done = _run([self._git, *arguments], self.folder, env)
        if done.returncode:
            raise CannotWork(f"git {arguments[0]} failed with exit code {done.returncode}")
        return done.stdout.strip()

    def commit(self, title: str) -> str:
        """Commits everything, and returns the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", title)
        return self.git("rev-parse", "HEAD")

    def state(self) -> str:
        """Commit, files and changes, as text."""
        head, files, changes = self.git("rev-parse", "HEAD"), self.git("ls-files"), self.git("status", "--short")
        return f"commit {head}\nfiles:\n{files or '(none)'}\nchanges:\n{changes or '(none)'}\n"


def _run(command: Sequence[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    out, none, joined = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=env,
            stdin=none,
            stdout=out,
            stderr=joined,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotWork(f"{Path(command[0]).name} was not done within {_SECONDS} s") from None


def main() -> int:
    try:
        with Task.from_env() as task:
            try:
                return _work(task)
            except CannotWork as reason:
                task.fail(str(reason))
                return 1
    except RunnerError as error:
        print(f"The agent stopped: {error}.", file=sys.stderr)
        return 1


def _work(task: Task) -> int:
    began = time.monotonic()
    order = read_order(task.prompt)
    task.progress("Stand-in agent, no model: the work is done by fixed rules, to show the way of a task.")
    scratch = Scratch(Path.cwd() / "scratch", f"Start of task {task.id}")
    task.snapshot("before", scratch.state())
    _wait(task, order.seconds)
    memories = _recall(task, order)
    steps = steps_of(order.text, memories)
    _write(scratch.folder, steps, memories, order.fails)
    task.progress(f"Wrote a checklist (steps: {len(steps)}) and its unit test; running the test.")
    tests = _test(scratch.folder)
    task.log(tests.stdout)
    commit = scratch.commit(f"Checklist for task {task.id}")
    patch = scratch.git("format-patch", "--stdout", f"{scratch.base}..HEAD") + "\n"
    task.artifact(patch.encode(), "change.patch", "text/x-patch")
    task.snapshot("after", f"commit {commit}\n{scratch.git('diff', '--stat', scratch.base, 'HEAD')}\n")
    changes = [line.split("\t") for line in scratch.git("diff", "--numstat", scratch.base, "HEAD").splitlines()]
    task.usage(
        seconds=round(time.monotonic() - began, 3),
        files=len(changes),
        lines=sum(int(added) for added, *_ in changes),
        memories=len(memories),
    )
    return _conclude(task, tests, steps, memories, commit)


def _wait(task: Task, seconds: int) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        task.heartbeat()
        time.sleep(min(1.0, left))


def _recall(task: Task, order: Order) -> list[Memory]:
    try:
        memories = task.ask(order.text[:_MAX_QUESTION]) if order.text else task.memory()
    except Away:
        task.progress("The memory is away; going on without it.")
        return []
    task.progress(f"Memories of earlier tasks shown: {len(memories)}.")
    return memories


def _write(folder: Path, steps: Sequence[str], memories: Sequence[Memory], leave_out: bool) -> None:
    (folder / "checklist.py").write_text(_MODULE.format(steps=_lines(steps[:-1] if leave_out else steps)), "utf-8")
    (folder / "test_checklist.py").write_text(_TEST.format(steps=_lines(steps)), "utf-8")
    (folder / "NOTES.md").write_text(_notes(steps, memories), "utf-8")


def _lines(steps: Sequence[str]) -> str:
    return "\n".join(f"    {step!a}," for step in steps)


def _notes(steps: Sequence[str], memories: Sequence[Memory]) -> str:
    lines = ["# Notes", "", "The stand-in agent wrote this by fixed rules; no model took part.", "", "## Memories", ""]
    for memory in memories:
        where = f"task {memory.provenance.get('taskId')}, {memory.provenance.get('kind')}"
        lines.append(f"- {memory.score:.2f} · {where}: {json.dumps(memory.snippet, ensure_ascii=False)}")
    if memories:
        lines += ["", "Used for this alone: each of these tasks became a step of the checklist, to compare with."]
    else:
        lines.append("None was shown.")
    return "\n".join([*lines, "", "## Steps", "", *(f"- [ ] {step}" for step in steps), ""])


def _test(folder: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    return _run([sys.executable, "-m", "unittest", "-v", "test_checklist"], folder, env)


def _conclude(
    task: Task, tests: subprocess.CompletedProcess[str], steps: Sequence[str], memories: Sequence[Memory], commit: str
) -> int:
    told = f"a checklist (steps: {len(steps)}, memories: {len(memories)}, commit: {commit[:10]})"
    if tests.returncode:
        task.fail(f"Stand-in agent (no model): the unit test failed (exit code {tests.returncode}) on {told}.")
        return 1
    task.complete(f"Stand-in agent (no model): wrote {told}; its unit test passed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
