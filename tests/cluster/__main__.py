"""Builds and runs a real Kubernetes control plane for tests; without Docker, without a node."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

import psutil

from shared.local.state import CannotStart
from shared.local.watchdog import end
from tests.cluster.binaries import crd_manifests, programs
from tests.cluster.control_plane import ControlPlane, say
from tests.cluster.user_cluster import user_cluster

_GRACE_SECONDS = 10.0


class Ended(BaseException):
    """This process was told to end, by the signal with this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("build", help="find or build the programs, and take the CRDs out of their modules")
    run = verbs.add_parser(
        "run",
        help="run a command beside a control plane, or with the cluster of KUBECONFIG",
        description="Runs COMMAND with FACTEUR_TEST_API_URL and FACTEUR_TEST_CREDENTIALS (a folder with token and "
        "ca.crt) in its environment, and passes on its exit code. If KUBECONFIG is set, that cluster is used, and what "
        "is made in it for the tests is removed again; else FACTEUR_TEST_APISERVER_PID_FILE is set too.",
    )
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    serve = verbs.add_parser("serve", help="start a control plane and leave it until Ctrl-C")
    serve.add_argument("--folder", type=Path, help="where its state and logs stay; else they are temporary")
    arguments = parser.parse_args()
    if arguments.verb == "run" and arguments.command in ([], ["--"]):
        run.error("say which command to run")
    _on_signals(_end)
    try:
        if arguments.verb == "run":
            separated = arguments.command[0] == "--"
            return _run(arguments.command[1:] if separated else arguments.command)
        return _build() if arguments.verb == "build" else _serve(arguments.folder)
    except CannotStart as error:
        say(str(error))
        return 1
    except Ended as ended:
        return 0 if arguments.verb == "serve" else 128 + ended.number


def _end(number: int, _: FrameType | None) -> None:
    # A second one would interrupt the clean-up.
    _on_signals(signal.SIG_IGN)
    raise Ended(number)


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _build() -> int:
    folder, manifests = programs(say), crd_manifests(say)
    say(f"the programs are in {folder}, and {len(manifests)} CRDs are known")
    return 0


def _run(command: list[str]) -> int:
    if kubeconfig := os.environ.get("KUBECONFIG"):
        with user_cluster(kubeconfig, say) as environment:
            return _run_with(environment, command)
    with ControlPlane() as control_plane:
        return _run_with(control_plane.environment, command)


def _run_with(environment: Mapping[str, str], command: list[str]) -> int:
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment})
    except OSError as error:
        raise CannotStart(f"{command[0]} cannot be run: {error.strerror}.") from None
    try:
        code = process.wait()
    except Ended as ended:
        # A terminal has sent Ctrl-C to the command as well, which may have something to say.
        if ended.number == signal.SIGINT:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
        with contextlib.suppress(psutil.NoSuchProcess):
            end([psutil.Process(process.pid)], _GRACE_SECONDS)
        raise
    finally:
        _on_signals(signal.SIG_IGN)
    return code if code >= 0 else 128 - code


def _serve(folder: Path | None) -> int:
    with ControlPlane(folder) as control_plane:
        kubectl = control_plane.kubectl or "kubectl"
        print(f"the control plane serves at {control_plane.url}; Ctrl-C ends it")
        print(f"logs and state: {control_plane.folder}")
        print(f"token and ca.crt: {control_plane.credentials}")
        print(f"try: {kubectl} --kubeconfig {control_plane.kubeconfig} get namespaces", flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
