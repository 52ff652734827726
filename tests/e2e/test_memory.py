"""What an earlier task left is found by a later one, and says where it is from."""

from tests.e2e.conftest import Done
from tests.e2e.system import System
from tests.e2e.target import Door


def test_a_later_task_finds_what_an_earlier_one_left(system: System, memory: Door, first: Done, later: str) -> None:
    answer = system.ask(memory, later, f"What is the {first.word} valve for?")
    assert answer.status == 200, answer.data
    (found,) = [one for one in answer.json()["results"] if one["provenance"]["taskId"] == first.id]
    assert found["score"] > 0 and first.word in found["snippet"]
    assert later not in {one["provenance"]["taskId"] for one in answer.json()["results"]}


def test_the_earlier_task_is_among_the_nearest_of_the_later_prompt(
    system: System, memory: Door, first: Done, later: str
) -> None:
    answer = system.get(memory, f"/v1/codex/tasks/{later}/memory?limit=20")
    assert answer.status == 200, answer.data
    assert first.id in {one["provenance"]["taskId"] for one in answer.json()["results"]}
