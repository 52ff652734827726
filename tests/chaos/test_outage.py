"""What is accepted while the broker or its memory is away starts soon after it is back."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.local.children import MANIFESTS
from shared.local.demo.inputs import discord_command
from shared.local.demo.story import Story
from shared.local.twin import Twin, TwinSettings
from tests.chaos.fire import await_processes
from tests.chaos.test_storm import RUNNER
from tests.flow.laptop import Laptop


@pytest.fixture
def no_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tick of the minute comes once a year: what happens does not owe to it."""
    shutil.copytree(MANIFESTS, tmp_path / "eventing")
    tick = tmp_path / "eventing" / "sources" / "tick.yaml"
    every_minute = tick.read_text()
    yearly = every_minute.replace('"* * * * *"', f'"0 0 1 {(datetime.now(UTC).month + 5) % 12 + 1} *"')
    assert yearly != every_minute
    tick.write_text(yearly)
    monkeypatch.setattr("shared.local.children.MANIFESTS", tmp_path / "eventing")


@pytest.mark.parametrize("name", ["broker", "redis"])
def test_what_was_accepted_during_an_outage_need_not_wait_for_the_minute(
    state: Path, no_ticks: None, name: str
) -> None:
    with Twin(TwinSettings(state, runner_command=RUNNER), said=lambda _: None) as info:
        laptop = Laptop(info)
        (victim,) = await_processes(info.twin_id, name, 1)
        victim.kill()
        tasks = [laptop.submit("Wait for nobody", f"during the outage {number}") for number in range(5)]
        assert [laptop.ended(task)["status"] for task in tasks] == ["succeeded"] * 5
        assert len(laptop.jobs()) == 5


@pytest.mark.parametrize("name", ["broker", "redis"])
def test_a_command_that_could_not_be_queued_is_posted_again_by_the_demo(state: Path, name: str) -> None:
    with Twin(TwinSettings(state, runner_command=RUNNER), said=lambda _: None) as info:
        (victim,) = await_processes(info.twin_id, name, 1)
        victim.kill()
        task = Story(info.url, info.api_token).send(discord_command(info.discord_private_key))
        laptop = Laptop(info)
        assert laptop.ended(task)["status"] == "succeeded"
        assert len(laptop.jobs()) == 1
