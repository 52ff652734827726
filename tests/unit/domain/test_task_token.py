"""Task tokens: bound to attempt, task and scope, and refused in the same words whatever is wrong."""

from uuid import UUID, uuid4

import pytest

from shared.domain.errors import Forbidden, Unauthenticated
from shared.domain.task_token import Scope, check_task_token, is_task_token, mint_task_token, narrow
from shared.runner.token import narrowed

KEY = "a key of at least thirty-two letters"
OLD = "the key that was used before that one"
TASK = UUID(int=7)


def test_a_task_token_tells_its_attempt() -> None:
    for attempt in (1, 2, 999_999):
        for scope in Scope:
            assert check_task_token([KEY], TASK, mint_task_token(KEY, TASK, attempt), scope) == attempt
    assert mint_task_token(KEY, TASK, 1) == mint_task_token(KEY, TASK, 1)


def test_a_task_token_fits_nothing_else() -> None:
    good, reader = mint_task_token(KEY, TASK, 1), narrow(mint_task_token(KEY, TASK, 1), [Scope.MEMORY, Scope.TASK])
    wrong = [
        None,
        "",
        good + "x",
        good[:-1],
        good.replace("fct_1_", "fct_2_"),
        good.replace("fct_1_", "fct_01_"),
        good.replace("fct_", "FCT_"),
        good.replace("fct_1_", "fct_1_memory_"),
        mint_task_token(KEY, uuid4(), 1),
        mint_task_token(KEY + "x", TASK, 1),
        "fct_1_" + "A" * 43,
        "fct_9999999_" + "A" * 43,
        "fct_\u0661_" + "A" * 43,
        "\xff",
        reader.replace("memory.task", "memory"),
        reader.replace("memory.task", "events.memory.task"),
        reader.replace("memory.task", "task.memory"),
        reader.replace("fct_1_", "fct_2_"),
        reader.replace("memory.task_", ""),
    ]
    said = set()
    for token in wrong:
        with pytest.raises(Unauthenticated) as refused:
            check_task_token([KEY, OLD], TASK, token, Scope.MEMORY)
        said.add(str(refused.value))
    assert len(said) == 1
    assert KEY not in said.pop()


def test_a_narrowed_token_does_what_it_was_narrowed_to_and_nothing_more() -> None:
    reader = narrow(mint_task_token(KEY, TASK, 3), [Scope.TASK, Scope.MEMORY])
    for scope in (Scope.MEMORY, Scope.TASK):
        assert check_task_token([KEY], TASK, reader, scope) == 3
    for scope in (Scope.EVENTS, Scope.ARTIFACTS):
        with pytest.raises(Forbidden):
            check_task_token([KEY], TASK, reader, scope)


def test_the_container_narrows_its_token_as_we_do() -> None:
    token = mint_task_token(KEY, TASK, 3)
    assert narrowed(token, ["memory", "task"]) == narrow(token, [Scope.TASK, Scope.MEMORY])


def test_a_token_of_the_key_before_is_accepted_until_that_key_is_gone() -> None:
    old = mint_task_token(OLD, TASK, 1)
    for token in (old, narrow(old, [Scope.EVENTS])):
        assert check_task_token([KEY, OLD], TASK, token, Scope.EVENTS) == 1
        with pytest.raises(Unauthenticated):
            check_task_token([KEY], TASK, token, Scope.EVENTS)


def test_the_shape_of_a_token_tells_which_kind_it_is() -> None:
    assert is_task_token(mint_task_token(KEY, TASK, 1))
    assert is_task_token(narrow(mint_task_token(KEY, TASK, 1), list(Scope)))
    assert not is_task_token("an-api-token")
    assert not is_task_token(None)
