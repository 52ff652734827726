"""The yardstick of benches: a bare Functions Framework handler under the same server.

`python -m tests.bench.bare PORT [FOLDER]`: hello world, or the handler in another folder beside this file.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.server import Server


def application(*_: Any) -> Any:
    folder = sys.argv[2] if len(sys.argv) > 2 else "hello"
    create_app: Callable[..., Any] = importlib.import_module("functions_framework").create_app
    return create_app("handle", str(Path(__file__).parent / folder / "main.py"), "http")


if __name__ == "__main__":
    Server(
        "bare",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        blocking_threads=8,
        log_enabled=False,
    ).serve(target_loader=application, wrap_loader=False)
