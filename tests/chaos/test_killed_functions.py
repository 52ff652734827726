"""`facteur demo` while its functions are killed: it ends right, or it says exactly why not."""

import pytest

from shared.local.children import FUNCTIONS
from tests.chaos.conftest import Start
from tests.chaos.fire import await_processes, ended_right, under_way

MASTER, WORKER = 0, 1


@pytest.mark.parametrize("part", [MASTER, WORKER], ids=["master", "worker"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_killed_function_costs_time_and_nothing_else(start: Start, name: str, part: int) -> None:
    demo = start()
    under_way(demo, f"{name} {part}")
    await_processes(demo.twin_id, name, 2)[part].kill()
    ended_right(demo)
