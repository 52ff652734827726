"""What is locked is what is declared, and what is generated is generated from what is here."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from google.protobuf import json_format

from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask
from tests.architecture.tree import ROOT

PROTO = ROOT / "eventing" / "proto"
GENERATED = ROOT / "shared" / "events" / "protobuf"


def test_the_functions_framework_is_not_the_old_one_that_a_resolver_falls_back_to() -> None:
    assert tuple(map(int, version("functions-framework").split(".")[:2])) >= (3, 10)


def test_the_lock_file_is_in_step_with_the_project(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uv", "lock", "--check", "--offline", "--quiet", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_protobuf_classes_are_generated_from_the_protos(tmp_path: Path) -> None:
    protos = [str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "."]
    command += [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", *protos]
    subprocess.run(command, cwd=PROTO, check=True, timeout=60)
    fresh = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*_pb2.py*")}
    kept = {str(path.relative_to(GENERATED)): path.read_text() for path in GENERATED.rglob("*_pb2.py*")}
    assert fresh and kept == fresh, "run: make proto"


def test_the_example_task_has_the_bytes_of_the_earlier_system() -> None:
    task = json_format.Parse((ROOT / "eventing/examples/codex-task.json").read_text(), CodexTask())
    body = task.SerializeToString(deterministic=True)
    assert len(body) == 771
    assert CodexTask.FromString(body) == task
