"""Builds and runs a real cluster of one node for tests: without Docker, without a registry, as root on Debian 12."""

import argparse
import sys
import threading
from pathlib import Path

from shared.local.state import CannotStart
from tests.cluster.commands import Ended, raise_on_signals, run_with
from tests.cluster.control_plane import say
from tests.knative.cluster.cluster import Cluster, obtain
from tests.knative.cluster.node import CommandFailed
from tests.knative.cluster.preflight import Unsuited

_UNSUITED = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.knative", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("build", help="find or build the programs, and take the rest from Debian's packages")
    run = verbs.add_parser(
        "run",
        help="run a command beside a cluster",
        description="Runs COMMAND with FACTEUR_TEST_NODE (the description of the cluster), FACTEUR_TEST_HOST_ADDRESS "
        "(this machine, as pods reach it), FACTEUR_TEST_API_URL and FACTEUR_TEST_CREDENTIALS in its environment, and "
        "passes on its exit code. With exit code 2 nothing was run: this machine cannot have a node.",
    )
    run.add_argument("--logs", type=Path, help="where to copy all logs if the command fails")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    serve = verbs.add_parser("serve", help="start a cluster and leave it until Ctrl-C")
    serve.add_argument("--folder", type=Path, help="a new folder where its logs stay; else they are temporary")
    arguments = parser.parse_args()
    if arguments.verb == "run" and arguments.command in ([], ["--"]):
        run.error("say which command to run")
    raise_on_signals()
    try:
        return _do(arguments)
    except CannotStart as error:
        say(str(error))
        return _UNSUITED if isinstance(error, Unsuited) else 1
    except Ended as ended:
        return 0 if arguments.verb == "serve" else 128 + ended.number


def _do(arguments: argparse.Namespace) -> int:
    if arguments.verb == "build":
        obtain(say)
        return 0
    if arguments.verb == "serve":
        return _serve(arguments.folder)
    separated = arguments.command[0] == "--"
    return _run(arguments.command[1:] if separated else arguments.command, arguments.logs)


def _run(command: list[str], logs: Path | None) -> int:
    with Cluster() as node:
        code = run_with(node.environment, command)
        if code and logs:
            try:
                node.logs(logs)
            except CommandFailed as error:
                say(str(error))
            say(f"the logs of the cluster are in {logs}")
        return code


def _serve(folder: Path | None) -> int:
    with Cluster(folder) as node:
        print(f"the cluster serves at {node.url}; Ctrl-C ends it")
        print(f"logs and state: {node.folder}")
        print(f"this machine as pods reach it: {node.host_address}; DNS for cluster.local: {node.dns_address}")
        print(f"tests use it by FACTEUR_TEST_NODE={node.folder}/node.json")
        print(f"try: {node.kubectl_program} --kubeconfig {node.kubeconfig} get nodes", flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
