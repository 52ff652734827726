"""Runs an agent as one attempt of a task, from the prompt to the one report that ends it."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.runner.content import cut
from shared.runner.errors import Away, Fenced, Refused, RunnerError, Unacceptable
from shared.runner.task import Task
from shared.runner.wrapping import outputs
from shared.runner.wrapping.agent_process import Agent, reason
from shared.runner.wrapping.agent_start import NOT_RUNNABLE
from shared.runner.wrapping.arguments import Options
from shared.runner.wrapping.codex_stream import CodexStream
from shared.runner.wrapping.prompt import has_memories, with_memories
from shared.runner.wrapping.surroundings import agent_environment, secrets_in, with_prompt
from shared.runner.wrapping.transcript import Transcript
from shared.runner.wrapping.watch import Ended, Late, Over, Signaled, Watch
from shared.runner.wrapping.workspace import Workspace

LATE = 124
_LATE = "deadline: the agent was not done in time, and was ended"
_MARGIN, _MARGIN_SHARE = 15.0, 0.2

log = logging.getLogger("codex.runner")


@dataclass(frozen=True)
class Outcome:
    """How it ended: the exit code, and either the result or why it failed."""

    code: int
    result: str = ""
    failure: str | None = None


def run(task: Task, options: Options, environ: Mapping[str, str]) -> int:
    """The exit code, once the end is delivered. Fenced and Refused mean that the work was void."""
    private = Path(tempfile.mkdtemp(prefix="codex-run-"))
    try:
        for secret in secrets_in(environ):
            task.mask.add(secret)
        wrapper = _Wrapper(task, options, private)
        with task.behind(options.heartbeat, wrapper.over):
            outcome = wrapper.outcome(environ)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    if outcome.failure is None:
        task.complete(outcome.result)
    else:
        task.fail(outcome.failure)
    return outcome.code


class _Wrapper:
    """One run of one agent."""

    def __init__(self, task: Task, options: Options, private: Path) -> None:
        self._task = task
        self._options = options
        self._private = private
        stop_at, self._last_moment = _moments(task.deadline)
        self._workspace = Workspace(options.workspace, private, self._last_moment)
        self._codex = CodexStream()
        self._transcript = Transcript(self._say)
        self._watch = Watch(stop_at)

    def over(self, error: RunnerError) -> None:
        self._watch.tell(Over(error))

    def outcome(self, environ: Mapping[str, str]) -> Outcome:
        self._task.snapshot("before", self._workspace.before())
        command, stdin = with_prompt(self._options.command, self._prompt(), self._private)
        env = agent_environment(environ, self._task.token, self._private)
        with self._task.on_termination(lambda number: self._watch.tell(Signaled(number))):
            outcome = self._watched(command, env, stdin)
        self._leave_files()
        return outcome

    def _prompt(self) -> str:
        asked = self._task.prompt
        if not self._options.memories or has_memories(asked):
            return asked
        try:
            return with_memories(asked, self._task.memory(self._options.memories))
        except (Away, Unacceptable) as error:
            self._task.progress(f"The memory is away ({error}); going on without it.")
            return asked

    def _watched(self, command: Sequence[str], env: Mapping[str, str], stdin: bytes) -> Outcome:
        try:
            agent = Agent(command, self._options.workspace, env, stdin, lambda code: self._watch.tell(Ended(code)))
        except OSError as error:
            return Outcome(NOT_RUNNABLE, failure=f"the command cannot be started ({error.strerror})")
        try:
            agent.listen(self._task.mask.raw, self._take_stdout, self._take_stderr)
            news = self._watch.wait(lambda: self._meanwhile(agent))
            code = news.code if isinstance(news, Ended) else self._watch.stop(agent, news)
        finally:
            agent.finish()
            self._transcript.close()
        if isinstance(news, Over):
            raise news.error
        return Outcome(LATE, failure=_LATE) if isinstance(news, Late) else self._judge(code)

    def _meanwhile(self, agent: Agent) -> None:
        self._transcript.tick()
        agent.bury_orphans()

    def _judge(self, code: int) -> Outcome:
        failed = self._codex.failure
        if failed is not None:
            return Outcome(_as_shell(code) or 1, failure=f"the turn failed: {failed}")
        if code:
            last = self._transcript.tail("stderr").rpartition("\n")[2].strip()
            return Outcome(_as_shell(code), failure=": ".join(filter(None, (reason(code), cut(last, 300)))))
        return Outcome(0, result=self._codex.result or self._transcript.tail("stdout"))

    def _take_stdout(self, lines: Sequence[str]) -> None:
        if not self._options.codex:
            self._transcript.lines("stdout", lines)
            return
        for line in lines:
            told = self._codex.read(line)
            if told is None:
                self._transcript.lines("stdout", [line])
            for said in told or ():
                self._transcript.event(said.kind, said.content, said.size)

    def _take_stderr(self, lines: Sequence[str]) -> None:
        self._transcript.lines("stderr", lines)

    def _say(self, kind: str, content: Any) -> None:
        if kind == "usage":
            self._task.usage(**content)
        elif kind == "progress":
            self._task.progress(content)
        else:
            self._task.log(content)

    def _leave_files(self) -> None:
        after = self._workspace.after()
        patch = self._task.mask.raw(after.patch) if after.patch else None
        masked = (
            "" if patch == after.patch else "secrets are masked in the patch: where it changes them it is not exact\n"
        )
        self._task.snapshot("after", after.state + masked)
        found = outputs.find(self._options.workspace, self._options.artifacts)
        for note in found.notes:
            self._task.log(note)
        files: list[tuple[str, bytes | Path]] = [("change.patch", patch)] if patch else []
        # A store that hangs must not take the time of the end.
        leaving = threading.Thread(target=self._leave_each, args=([*files, *found.files],), daemon=True)
        leaving.start()
        leaving.join(None if self._last_moment is None else max(0.0, self._last_moment - time.monotonic()))
        if leaving.is_alive():
            self._task.log("There is no time left to leave more files with the task.")

    def _leave_each(self, files: Sequence[tuple[str, bytes | Path]]) -> None:
        try:
            for name, content in files:
                self._leave(name, content)
        except Away as away:
            with suppress(RunnerError):
                self._task.log(f"Files are not left with the task: {away}.")
        except RunnerError as error:  # whoever reports the end will hear the same
            log.warning("files are not left with the task: %s", error)

    def _leave(self, name: str, content: bytes | Path) -> None:
        try:
            self._task.artifact(content, name, "text/x-patch" if isinstance(content, bytes) else None)
        except (Away, Fenced, Refused):
            raise
        except RunnerError as error:
            self._task.log(f"{name} is not left with the task: {error}.")


def _moments(deadline: float | None) -> tuple[float | None, float | None]:
    """When the agent has to end, and when its files have to be left (monotonic seconds): the rest is for the report."""
    if deadline is None:
        return None, None
    left = deadline - time.time()
    margin = min(_MARGIN, max(0.0, left) * _MARGIN_SHARE)
    return time.monotonic() + left - margin, time.monotonic() + left - margin / 2


def _as_shell(code: int) -> int:
    """The exit code as a shell tells it: 128 + n where signal n ended the process."""
    return code if code >= 0 else 128 - code
