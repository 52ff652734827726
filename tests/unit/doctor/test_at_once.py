"""Looks that run at once."""

import subprocess
import sys

import pytest

from shared.doctor.at_once import begin

_HANGS = """
import time
from shared.doctor.at_once import begin
begin({"hangs": lambda: time.sleep(3600)})
print("reported")
"""


def test_each_look_has_its_own_outcome() -> None:
    begun = begin({"seen": lambda: 1, "broken": lambda: 1 // 0})
    assert begun["seen"].result() == 1
    with pytest.raises(ZeroDivisionError):
        begun["broken"].result()


def test_a_look_that_hangs_keeps_no_process_from_its_end() -> None:
    done = subprocess.run([sys.executable, "-c", _HANGS], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "reported\n"
