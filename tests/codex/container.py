"""A container whose agent is the real Codex CLI below the wrapper, and whose callback is the real function."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from shared.postgres.task_views import PgTaskViews
from tests.codex.program import VARIABLE
from tests.codex.responses_api import API_KEY, Model
from tests.component.conftest import Stage

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
PROMPT = "Show what hello.txt says.\n"
GREETING = "hello from the workspace\n"
CODEX = ("exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")

# Nothing but the model is called, and faults are tried again soon and seldom.
_CONFIG = """\
model = "gpt-5.5"
model_provider = "scripted"
check_for_update_on_startup = false
[model_providers.scripted]
name = "scripted"
base_url = "{url}"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
request_max_retries = 1
stream_max_retries = 2
[analytics]
enabled = false
[otel]
metrics_exporter = "none"
[features]
apps = false
plugins = false
unbounded_connection_retries = false
[shell_environment_policy]
ignore_default_excludes = false
"""


def configure(codex_home: Path, model_url: str) -> None:
    """Makes the CLI ask this model, and nobody else."""
    codex_home.mkdir(parents=True, exist_ok=True)
    (codex_home / "config.toml").write_text(_CONFIG.format(url=model_url))


class Container:
    """One attempt of a task that runs: its files, its process, and what is told of it."""

    def __init__(self, folder: Path, stage: Stage, callback: str, memory: str, model: Model, prompt: str) -> None:
        self.model = model
        self.stage = stage
        self.task, headers = stage.launch(prompt)
        self.token = headers["Authorization"].removeprefix("Bearer ")
        self.workspace = folder / "workspace"
        self.codex_home = folder / "codex-home"
        self.output = folder / "output"
        self.env = self._environment(folder, callback, memory, prompt)
        self.set_deadline(PATIENCE)
        self._process: subprocess.Popen[bytes] | None = None

    def _environment(self, folder: Path, callback: str, memory: str, prompt: str) -> dict[str, str]:
        texts = {"prompt": prompt, "token": self.token, "workspace/hello.txt": GREETING}
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8", newline="")
        configure(self.codex_home, self.model.url)
        path = f"/v1/codex/tasks/{self.task}"
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "CODEX_HOME": str(self.codex_home),
            "OPENAI_API_KEY": API_KEY,
            "CODEX_TASK_ID": str(self.task),
            "CODEX_ATTEMPT": "1",
            "CODEX_PROMPT_FILE": str(folder / "prompt"),
            "CODEX_CALLBACK_URL": callback + path,
            "CODEX_CALLBACK_TOKEN_FILE": str(folder / "token"),
            "CODEX_MEMORY_ENDPOINT": f"{memory}{path}/memory",
            "CODEX_SPOOL_DIR": str(folder / "spool"),
        }

    def set_deadline(self, seconds: float) -> None:
        self.env["CODEX_DEADLINE"] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()

    def start(self, *options: str) -> psutil.Process:
        """The wrapper, with these options."""
        command = [sys.executable, "-m", "shared.runner", *options, "--", os.environ[VARIABLE], *CODEX]
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self.workspace,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return psutil.Process(self._process.pid)

    def wait(self) -> int:
        """The wrapper's exit code."""
        assert self._process
        return self._process.wait(PATIENCE + 10)

    def run(self, *options: str) -> int:
        self.start(*options)
        return self.wait()

    def agent(self) -> psutil.Process:
        """The running CLI."""
        assert self._process
        wrapper = psutil.Process(self._process.pid)
        (found,) = [child for child in wrapper.children() if child.cmdline()[1:2] == ["exec"]]
        return found

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        for left in self.processes():
            left.kill()

    def processes(self) -> list[psutil.Process]:
        """What runs in the workspace, whoever is its parent."""
        return [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(self.workspace)]

    @property
    def said(self) -> str:
        return self.output.read_text("utf-8", "replace")

    @property
    def status(self) -> dict[str, Any]:
        found = PgTaskViews(self.stage.database).status(self.task, "default")
        assert found
        return dict(found)

    @property
    def timeline(self) -> list[tuple[str, Any]]:
        """What was reported, in its order: kind and content."""
        entries = PgTaskViews(self.stage.database).timeline(self.task, "default")
        return [(entry.what, entry.detail["content"]) for entry in entries if "content" in entry.detail]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The progress of one kind, in its order."""
        return [content for what, content in self.timeline if what == "progress" and content["kind"] == kind]

    @property
    def messages(self) -> list[str]:
        return [one["text"] for one in self.told("message")]

    @property
    def commands(self) -> list[tuple[str, int, str]]:
        """The commands that were done: each with its exit code and its output."""
        done = [one for one in self.told("command") if one["status"] != "in_progress"]
        return [(one["command"], one["exitCode"], one.get("output", "")) for one in done]

    def everything(self) -> str:
        """All that the database has of the task, and all that was printed."""
        tables = ("codex_task_events", "codex_task_snapshots", "run_events", "artifacts")
        texts = (f"SELECT to_jsonb({table})::text AS text FROM codex_kb.{table}" for table in tables)  # noqa: S608
        rows = [row["text"] for text in texts for row in self.stage.rows(text) if str(self.task) in row["text"]]
        return "\n".join([*rows, json.dumps(self.status, default=str), self.said])
