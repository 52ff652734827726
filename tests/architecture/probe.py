"""Imports one function in a fresh interpreter, then its wiring, and prints as JSON what each of both did.

`python -m tests.architecture.probe dispatcher`
"""

import importlib
import json
import sys
import threading

_ACTS = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.posix_spawn")


def main() -> None:
    acts: list[str] = []
    sys.addaudithook(lambda name, _: acts.append(name) if name in _ACTS else None)
    package = f"functions.{sys.argv[1]}"
    before = set(sys.modules)
    edge = importlib.import_module(f"{package}.main").edge
    at_start = sorted(sys.modules.keys() - before)
    importlib.import_module(f"{package}.wiring")
    in_all = sorted(sys.modules.keys() - before)
    threads = [thread.name for thread in threading.enumerate()]

    import psutil

    process = psutil.Process()
    seen = {
        "at_start": at_start,
        "in_all": in_all,
        "threads": threads,
        "native_threads": process.num_threads(),
        "sockets": len(process.net_connections()),
        "acts": acts,
        "routes": sorted(f"{method} {rule.rule}" for rule in edge._rules.iter_rules() for method in rule.methods),
        "events": sorted(edge._events),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
