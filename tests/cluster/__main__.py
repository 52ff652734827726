"""Builds and runs a real Kubernetes control plane for tests; without Docker, without a node."""

import argparse
import os
import sys
import threading
from pathlib import Path

from shared.local.state import CannotStart
from tests.cluster.binaries import crd_manifests, programs
from tests.cluster.commands import Ended, raise_on_signals, run_with
from tests.cluster.control_plane import ControlPlane, say
from tests.cluster.user_cluster import user_cluster


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
    raise_on_signals()
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


def _build() -> int:
    folder, manifests = programs(say), crd_manifests(say)
    say(f"the programs are in {folder}, and {len(manifests)} CRDs are known")
    return 0


def _run(command: list[str]) -> int:
    if kubeconfig := os.environ.get("KUBECONFIG"):
        with user_cluster(kubeconfig, say) as environment:
            return run_with(environment, command)
    with ControlPlane() as control_plane:
        return run_with(control_plane.environment, command)


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
