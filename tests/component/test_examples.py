"""Each example of an event is taken by every function that a Trigger brings it to, posted as `curl -d @file` would."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from functions.discord_interaction.parking import sealed
from shared.events import codec
from shared.events.catalogue import COMMAND_PARKED
from shared.local import manifests
from tests.component.conftest import Stage
from tests.component.functions import TOKEN_SECRET, Function, Sink, running, settings

EVENTING = Path(__file__).parents[2] / "eventing"
TRIGGERS = manifests.load(EVENTING).triggers
STRUCTURED = {"content-type": "application/cloudevents+json"}


@pytest.fixture(scope="module", params=sorted({trigger.subscriber.service for trigger in TRIGGERS}))
def function(
    request: pytest.FixtureRequest, stage: Stage, module_sink: Sink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Function]]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "jobs").mkdir()
    env = settings(stage.dsn, module_sink.url, folder)
    with running(request.param, env, folder / "log") as started:
        yield request.param, started


def written(type_: str) -> bytes:
    return (EVENTING / "examples" / f"{type_}.json").read_bytes()


def example(type_: str) -> bytes:
    """The file as it is, but for the seal: it is made with the key of whoever parks a command."""
    if type_ != COMMAND_PARKED:
        return written(type_)
    return codec.to_json(sealed(TOKEN_SECRET, replace(codec.from_json(written(type_)), extensions={})))


def test_an_example_is_taken_as_often_as_it_comes(function: tuple[str, Function]) -> None:
    name, started = function
    types = sorted({trigger.attributes["type"] for trigger in TRIGGERS if trigger.subscriber.service == name})
    assert types
    for type_ in types:
        for _ in range(2):
            answer = started.post("/", example(type_), STRUCTURED)
            assert (answer.status, answer.data) == (204, b""), type_
    if COMMAND_PARKED in types:
        assert started.post("/", written(COMMAND_PARKED), STRUCTURED).status == 401  # nobody's seal
