"""The image without a container engine: its Dockerfile is what it should be, and its entry point works as laid out."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from shared.domain.job import Job
from shared.kubernetes.jobs import PodSettings, manifest
from shared.local.conformance.checks import State, check
from shared.local.conformance.containers import USER, Command
from shared.local.conformance.stand_in import ENDS
from shared.local.conformance.trial import PROMPT, Scenario, run

ROOT = Path(__file__).parents[3]
FILE = ROOT / "runner" / "Dockerfile"
# Becomes the image's user, with folders that are made as volumes are: for everybody.
BECOME = f"""
import os, sys
for folder, mode in (("..", 0o755), (".", 0o777), (os.environ["TMPDIR"], 0o777)):
    os.chmod(folder, mode)
os.setgroups([])
os.setgid({USER})
os.setuid({USER})
os.execvp(sys.argv[1], sys.argv[1:])
"""
# What the Codex CLI says of a short turn, if it is called as it should be and was given the prompt.
CODEX = """#!/bin/sh
[ "$*" = "{arguments}" ] && grep -q . || exit 9
echo '{{"type":"thread.started","thread_id":"t"}}'
echo '{{"type":"turn.started"}}'
echo '{{"type":"item.completed","item":{{"id":"item_0","type":"agent_message","text":"I am '$(id -u)'"}}}}'
echo '{{"type":"turn.completed","usage":{{"input_tokens":3,"cached_input_tokens":0,"output_tokens":2}}}}'
"""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile, instruction by instruction."""
    lines = [line for line in FILE.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2]) for line in whole.splitlines()]


def last(name: str) -> str:
    """The instruction of that name that counts."""
    return next(rest for instruction, rest in reversed(instructions()) if instruction == name)


def copies() -> list[tuple[list[str], str]]:
    """What is copied from the repository: sources and where to."""
    words = [rest.split() for name, rest in instructions() if name == "COPY" and not rest.startswith("--from")]
    return [(sources, target) for *sources, target in words]


def entry_point() -> list[str]:
    return [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]


def test_every_stage_begins_with_a_version() -> None:
    stages = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert [stage.split(":")[0] for stage in stages] == ["node", "python"]
    assert all(re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[a-z-]+", stage) for stage in stages)


def test_it_runs_as_nobody_in_particular_with_the_volumes_of_a_job() -> None:
    assert last("USER") == f"{USER}:{USER}"
    assert all(instruction != "USER" for instruction, _ in instructions()[: -len(["USER", "ENTRYPOINT", "CMD"])])
    spec = manifest(Job("job", str(USER), 1, 60, image="image"), PodSettings("image"))["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsUser"] == USER
    assert not {"command", "args"} & container.keys()  # the image's own entry point is run
    env = dict(shlex.split(last("ENV"))[i].split("=", 1) for i in range(len(shlex.split(last("ENV")))))
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert last("WORKDIR") == env["HOME"] == container["workingDir"]
    assert {env["HOME"], env["TMPDIR"], env["CODEX_HOME"]} <= mounts


def test_nothing_secret_is_built_in() -> None:
    assert "ARG" not in {name for name, _ in instructions()}
    assert not re.search(r"(?i)(?:_key|token|secret|password)\s*=", FILE.read_text())


def test_what_is_copied_is_there_and_let_through_to_the_build() -> None:
    ignored, *let_through = FILE.with_name("Dockerfile.dockerignore").read_text().split()
    assert ignored == "*"
    for sources, _ in copies():
        for source in sources:
            path = ROOT / source
            files = path.glob("*.py") if path.is_dir() else [path]
            for file in files:
                assert file.is_file()
                assert any(fnmatch(str(file.relative_to(ROOT)), one.removeprefix("!")) for one in let_through), file


def test_the_sdk_goes_to_the_python_of_the_image() -> None:
    version = re.search(r"python:(\d+\.\d+)", FILE.read_text())
    assert version
    targets = [target for (source, *_), target in copies() if source.startswith("shared/")]
    assert targets
    assert all(target.startswith(f"/usr/local/lib/python{version[1]}/site-packages/shared/") for target in targets)


def test_the_version_of_codex_is_exact_and_the_one_of_the_lock() -> None:
    package = json.loads((ROOT / "runner/package.json").read_text())
    lock = json.loads((ROOT / "runner/package-lock.json").read_text())
    wanted = package["dependencies"]["@openai/codex"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", wanted)
    assert lock["packages"]["node_modules/@openai/codex"]["version"] == wanted
    for machine in ("x64", "arm64"):
        assert lock["packages"][f"node_modules/@openai/codex-linux-{machine}"]["integrity"]


def test_codex_is_told_to_ask_nobody_and_to_call_the_model_alone() -> None:
    told = tomllib.loads((ROOT / "runner/codex.toml").read_text())
    assert (told["approval_policy"], told["sandbox_mode"]) == ("never", "danger-full-access")
    assert told["model_providers"][told["model_provider"]]["env_key"] == "OPENAI_API_KEY"
    off = [told["analytics"]["enabled"], told["check_for_update_on_startup"], *told["features"].values()]
    assert not any(off)
    assert told["otel"]["metrics_exporter"] == "none"


def python() -> tuple[str, bool]:
    """A Python that the image's user can run, and whether we can become that user."""
    for program in (sys.executable, shutil.which("python3", path=os.defpath)):
        if os.getuid() == 0 and program and _runs_as_user(program):
            return program, True
    return sys.executable, False


def _runs_as_user(program: str) -> bool:
    old_enough = "import sys, venv; sys.exit(sys.version_info < (3, 9))"
    try:
        return subprocess.run([program, "-c", old_enough], user=USER, group=USER, cwd="/", check=False).returncode == 0
    except PermissionError:
        return False


@pytest.fixture
def laid_out() -> Iterator[list[str]]:
    """The image's files in a folder, with a codex that plays: the command that its container would be."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        base, can_become = python()
        subprocess.run([base, "-m", "venv", "--without-pip", str(root / "python")], check=True)
        (packages,) = (root / "python/lib").glob("python*/site-packages")
        for (source,), target in (copy for copy in copies() if "site-packages" in copy[1]):
            place = packages / target.partition("site-packages/")[2]
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            place.parent.mkdir(exist_ok=True)
            copy(ROOT / source, place)
        codex = root / "codex"
        program, *arguments = entry_point()
        codex.write_text(CODEX.format(arguments=" ".join(arguments[arguments.index("codex") + 1 :])))
        codex.chmod(0o755)
        assert program == "python"
        become = [sys.executable, "-c", BECOME] if can_become else []
        yield [*become, str(root / "python/bin/python"), *arguments]


def test_the_entry_point_keeps_the_contract_as_laid_out(laid_out: list[str]) -> None:
    folder = Path(next(word for word in laid_out if word.endswith("python/bin/python"))).parents[2]
    container = Command(laid_out, {"PATH": f"{folder}:{os.defpath}"})
    (last_event,) = [
        event for event in run(container, Scenario(), PROMPT, 60).stand_in.kept.values() if event["eventType"] in ENDS
    ]
    who = USER if laid_out[1:] and laid_out[1] == "-c" else os.getuid()
    assert (last_event["eventType"], last_event["content"]) == ("completed", f"I am {who}")
    found = list(check(container, PROMPT, 60))
    assert [finding for finding in found if finding.state is State.FAILED] == []
    assert "completes" in {finding.name for finding in found if finding.state is State.PASSED}
