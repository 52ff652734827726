"""What a deploy does about a migration that has failed, or fails while it waits."""

import os
import subprocess
from pathlib import Path

import pytest

from shared.web.serve import FUNCTIONS
from tests.images.dockerfile import ROOT

JOB = "facteur-migrate-1-2"
IMAGES = [*FUNCTIONS, "migrate", "runner"]
RENDERED = f"metadata:\n  name: {JOB}\n" + "".join(f"image: r.test/facteur-{name}:1.2\n" for name in IMAGES)
# A cluster to the script: the state of its Job is a file, and an apply makes of it what another file says. Who asks for
# the state after that is answered once somebody waits who can be ended.
KUBECTL = f"""#!/bin/sh
cd {{folder}}
echo "$*" >>calls
case "$*" in
"config get-contexts"*) echo production ;;
kustomize*) cat rendered ;;
*" apply "*) cat after >job; touch applied ;;
*" get job {JOB} "*)
	[ ! -e applied ] || until [ -e waiting ]; do sleep 0.1; done
	cat job ;;
*" delete job {JOB}") echo gone >job ;;
*" logs --selector job-name={JOB} "*) echo what the migration said ;;
*" wait job/{JOB} "*)
	trap 'echo no longer waiting >>calls; exit 143' TERM
	touch waiting
	until grep -q Complete job; do sleep 0.1; done ;;
esac
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("kubectl", KUBECTL.format(folder=tmp_path)), ("docker", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "rendered").write_text(RENDERED)
    return tmp_path


def _deploy(cluster: Path, before: str, after: str) -> tuple["subprocess.CompletedProcess[str]", list[str]]:
    (cluster / "job").write_text(before)
    (cluster / "after").write_text(after)
    env = {
        "PATH": f"{cluster / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "IMAGE_ENGINE": "docker",
        "IMAGE_REGISTRY": "r.test",
        "IMAGE_TAG": "1.2",
    }
    command = [str(ROOT / "knative" / "deploy.sh"), "cluster", "production"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    calls = (cluster / "calls").read_text().splitlines()
    return done, [call.removeprefix("--context production ").removeprefix("-n facteur ") for call in calls]


def test_a_job_that_has_failed_makes_way_for_one_that_is_tried(cluster: Path) -> None:
    done, calls = _deploy(cluster, "FailureTarget Failed", "SuccessCriteriaMet Complete")
    assert done.returncode == 0, done.stderr
    (applied,) = (number for number, call in enumerate(calls) if call.startswith("apply "))
    assert calls.index(f"delete job {JOB}") < applied


@pytest.mark.parametrize("before", ["", "Suspended", "SuccessCriteriaMet Complete"])
def test_a_job_that_has_not_failed_stays(cluster: Path, before: str) -> None:
    done, calls = _deploy(cluster, before, "Complete")
    assert done.returncode == 0, done.stderr
    assert not any(call.startswith("delete ") for call in calls)
    assert calls[-1] == "get ksvc"


def test_a_migration_that_fails_is_told_and_not_waited_for(cluster: Path) -> None:
    done, calls = _deploy(cluster, "", "FailureTarget Failed")
    assert done.returncode == 1
    assert "what the migration said" in done.stderr
    assert f"the migration has failed; kubectl describe -n facteur job/{JOB} says more" in done.stderr
    assert calls[-1] == "no longer waiting"
    assert not any("ksvc" in call for call in calls)
