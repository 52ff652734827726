"""A command that was refused and parked is done when its cause is gone: once, and by whoever parked it."""

import json
from dataclasses import replace

from shared.domain.dead_letter import Choice
from shared.events.catalogue import COMMAND_PARKED
from shared.postgres.dead_letters import PgDeadLetters
from tests.component.conftest import until
from tests.discord.stand import Stand
from tests.discord.test_secrets import event, record

ROLES = '{"plan": ["100000000000000001"]}'


def test_a_parked_command_that_is_redriven_becomes_its_task_once(stand: Stand) -> None:
    body = event().SerializeToString()
    with stand.function(FACTEUR_ROLE_MAP=ROLES) as strict:
        assert [record(strict, body) for _ in range(2)] == [403, 403]
    assert stand.broker.events == []
    letters = PgDeadLetters(stand.stage.database)
    found = letters.choose(Choice())
    assert {letter.type for letter in found} == {COMMAND_PARKED}
    redriven = [one for letter in found if (one := letters.redrive(letter))]
    with stand.function() as function:
        for one in redriven:
            answer = function.deliver(one.event)
            assert (answer.status, answer.data) == (204, b"")
        assert record(function, body) == 202
        until(lambda: stand.redis.keys("facteur:dispatch:*"))
        with_token = event(command="implement", options={"prompt": "forged"}).SerializeToString()
        (original, *_) = [one.event for one in redriven]
        forged = (
            replace(original, extensions={}),
            replace(original, data=with_token),
            replace(original, data=with_token, extensions={}),
        )
        assert [function.deliver(one).status for one in forged] == [401] * 3
    assert len(stand.requests()) == 3
    assert len({asked.id for asked in stand.requests()}) == 1
    assert json.loads(stand.requests()[0].data or b"")["prompt"] == "elsewhere"


def test_a_command_that_was_parked_under_the_key_before_is_still_known(stand: Stand) -> None:
    earlier, now = "the key of before, which is long enough", "the key of now, which is long enough too"
    with stand.function(FACTEUR_ROLE_MAP=ROLES, FACTEUR_TOKEN_SECRET=earlier) as strict:
        assert record(strict, event().SerializeToString()) == 403
    letters = PgDeadLetters(stand.stage.database)
    (redriven,) = [one for letter in letters.choose(Choice()) if (one := letters.redrive(letter))]
    with stand.function(FACTEUR_TOKEN_SECRET=now, FACTEUR_TOKEN_SECRET_PREVIOUS=earlier) as function:
        assert function.deliver(redriven.event).status == 204
    with stand.function(FACTEUR_TOKEN_SECRET=now) as function:
        assert function.deliver(redriven.event).status == 401
    assert len(stand.requests()) == 1
