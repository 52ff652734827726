"""The configuration file. Imported only where one is named."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import yaml_document
from shared.settings_keys import KEYS, STRUCTURED

_SECTIONS = {key[:end] for key in KEYS for end in range(len(key)) if key[end] == "."}


def read(path: Path) -> tuple[dict[str, str], list[str]]:
    """What the file sets, by environment variable, as the environment would say it; and its mistakes."""
    root, mistakes = yaml_document.read(path)
    found: dict[str, str] = {}
    _place(root, "", found, mistakes)
    return found, mistakes


def _place(section: Mapping[str, Any], above: str, found: dict[str, str], mistakes: list[str]) -> None:
    for name, value in section.items():
        key = above + name
        if "." in name:
            mistakes.append(f"{key} must be written as nested maps")
        elif key in _SECTIONS:
            if isinstance(value, dict):
                _place(value, key + ".", found, mistakes)
            elif value is not None:
                mistakes.append(f"{key} must be a map of keys")
        elif key not in KEYS:
            mistakes.append(f"{key} is not a known key")
        elif isinstance(value, dict | list) and key not in STRUCTURED:
            mistakes.append(f"{key} must be a single value, not a map or a list")
        elif value is not None:
            found[KEYS[key]] = value if isinstance(value, str) else json.dumps(value)
