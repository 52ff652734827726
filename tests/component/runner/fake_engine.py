"""Plays `docker` for one image: what is run in a container runs as a process with what the container would have.

It knows the options that an image of facteur is run with, and refuses any other. What mounts would do, paths do.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGE = "registry.test/agent:1"
AGENT = Path(__file__).with_name("plain_agent.py")
CANNOT_RUN = 125


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="docker run", exit_on_error=False)
    for name in ("name", "network", "user", "cap-drop", "security-opt", "workdir"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("env", "tmpfs", "volume"):
        parser.add_argument(f"--{name}", action="append", required=True)
    for name in ("rm", "read-only"):
        parser.add_argument(f"--{name}", action="store_true", required=True)
    parser.add_argument("image")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    (state() / f"{options.name}.json").write_text(json.dumps(arguments))
    if options.image != IMAGE:
        print(f"docker: no such image: {options.image}", file=sys.stderr)
        return CANNOT_RUN
    source, target, mode = options.volume[0].split(":")
    env = {name: os.environ[name].replace(target, source) for name in options.env}
    assert (mode, options.workdir, env["HOME"]) == ("ro,z", "/workspace", "/workspace")
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, str(AGENT), *options.arguments]
        child = subprocess.Popen(command, env={**env, "HOME": work, "PATH": os.environ["PATH"]}, cwd=work)
        (state() / f"{options.name}.pid").write_text(str(child.pid))
        code = child.wait()
    return code if code >= 0 else 128 - code


def tell(name: str, number: int) -> int:
    pid = state() / f"{name}.pid"
    if not pid.exists() or not Path("/proc", pid.read_text()).exists():
        return 1
    os.kill(int(pid.read_text()), number)
    return 0


def state() -> Path:
    return Path(sys.argv[0]).parent


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run", *rest]:
            sys.exit(run(rest))
        case ["kill", "--signal=TERM", name]:
            sys.exit(tell(name, signal.SIGTERM))
        case ["rm", "--force", name]:
            tell(name, signal.SIGKILL)
        case _:
            sys.exit("unknown command")
