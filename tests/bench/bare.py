"""The yardstick of `make bench-start`: a bare Functions Framework hello world under the same server."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.server import Server


def application(*_: Any) -> Any:
    create_app: Callable[..., Any] = importlib.import_module("functions_framework").create_app
    return create_app("handle", str(Path(__file__).parent / "hello" / "main.py"), "http")


if __name__ == "__main__":
    Server(
        "bare",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        blocking_threads=8,
        log_enabled=False,
    ).serve(target_loader=application, wrap_loader=False)
