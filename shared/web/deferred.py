"""A module that is imported when one of its names is first used, not when a function starts."""

import importlib
from typing import Any


class Deferred:
    """Stands for the module `name`: what most of a start would cost is paid by the first request that needs it.

    `/readyz` needs it too, so a revision whose module cannot be imported never becomes ready.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
