"""The scripts that build and deploy: whom they call with what, and what they refuse before they touch anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.images.dockerfile import ROOT

# Beside these nothing is there but what a test puts there: whoever runs it may have a kind and a docker.
TOOLS = ["sh", "cat", "cp", "cut", "dirname", "env", "git", "grep", "ls", "mktemp", "rm", "sed", "tr", "xargs"]
# A container engine to the script: writes down what it is called with, one line a call.
ENGINE = """#!/bin/sh
echo "$0 $*" >>{log}
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of the programs that are all there is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    return folder


def _engine(programs: Path, name: str) -> Path:
    log = programs.parent / "calls"
    (programs / name).write_text(ENGINE.format(log=log))
    (programs / name).chmod(0o755)
    return log


def _run(programs: Path, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    path = {"PATH": str(programs), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [str(ROOT / command[0]), *command[1:]], env={**path, **variables}, capture_output=True, text=True, check=False
    )


def test_an_image_is_named_by_registry_function_and_tag(programs: Path) -> None:
    done = _run(programs, "functions/image.sh", "name", "callback", "runner", IMAGE_REGISTRY="r.test/x", IMAGE_TAG="1")
    assert done.stdout.split() == ["r.test/x/facteur-callback:1", "r.test/x/facteur-runner:1"]


def test_without_a_tag_it_is_what_git_says_and_fit_for_the_name_of_a_job(programs: Path) -> None:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this tree is in no repository, or there is no git")
    done = _run(programs, "functions/image.sh", "tag")
    head = subprocess.run(
        ["git", "describe", "--tags", "--always"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(head.stdout.strip().lower().replace("_", "-"))
    assert done.stdout.strip() == done.stdout.strip().lower()


@pytest.mark.parametrize("engine", ["docker", "podman", "nerdctl"])
def test_the_engine_that_is_there_builds_with_the_file_that_keeps_secrets_out(programs: Path, engine: str) -> None:
    log = _engine(programs, engine)
    done = _run(programs, "functions/image.sh", "build", "migrate", "runner", IMAGE_TAG="1", IMAGE_ENGINE=engine)
    assert done.returncode == 0, done.stderr
    function, runner = log.read_text().splitlines()
    assert function.startswith(f"{programs}/{engine} build ")
    assert "--file functions/Dockerfile --tag dev.local/facteur-migrate:1 --build-arg FUNCTION=migrate" in function
    assert runner.endswith("--file runner/Dockerfile --tag dev.local/facteur-runner:1 .")
    assert ("--ignorefile functions/Dockerfile.dockerignore" in function) == (engine == "podman")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "callback", "nothing"], "there is no image nothing"),
        (["build", "callback"], "there is no an-engine here to build images with"),
        (["ship", "callback"], "say tag, name IMAGE, build IMAGE, or push IMAGE"),
    ],
    ids=["unknown image", "no engine", "unknown step"],
)
def test_what_cannot_be_built_is_said_in_words(programs: Path, arguments: list[str], said: str) -> None:
    done = _run(programs, "functions/image.sh", *arguments, IMAGE_TAG="1", IMAGE_ENGINE="an-engine")
    assert (done.returncode, done.stderr) == (2, f"functions/image.sh: {said}\n")


CONTEXTS = '#!/bin/sh\n[ "$1 $2" = "config get-contexts" ] && printf "kind-try\\nproduction\\n" && exit\nexit 9\n'


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["nowhere"], {}, "say which overlay"),
        (["local"], {}, "say which context: kind-try production"),
        (["local", "other"], {}, "kubectl knows no context other"),
        (["local", "production"], {}, "say IMAGE_REGISTRY: production cannot get images from here"),
        (["local", "kind-try"], {}, "there is no kind here"),
        (["local", "kind-try"], {"IMAGE_TAG": "Not_A_Tag"}, "a tag is up to 40 of a-z, 0-9, dot and hyphen"),
        (["local", "kind-try"], {"KUBECTL": "no-such-kubectl"}, "there is no no-such-kubectl here"),
    ],
    ids=["no overlay", "no context", "unknown context", "no registry", "no kind", "bad tag", "no kubectl"],
)
def test_a_deploy_that_cannot_work_stops_before_it_builds(
    programs: Path, arguments: list[str], variables: dict[str, str], said: str
) -> None:
    log = _engine(programs, "docker")
    (programs / "kubectl").write_text(CONTEXTS)
    (programs / "kubectl").chmod(0o755)
    done = _run(programs, "knative/deploy.sh", *arguments, **{"IMAGE_TAG": "1", **variables})
    assert (done.returncode, log.exists()) == (2, False)
    assert done.stderr.startswith(f"knative/deploy.sh: {said}")
