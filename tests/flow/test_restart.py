"""What a twin knows and what it has begun outlive it."""

import json
from pathlib import Path

from shared.local.twin import Twin, TwinSettings
from tests.flow.laptop import FINAL, TICKS, Laptop
from tests.integration.local.waiting import eventually


def test_tasks_memories_and_tasks_in_flight_survive_a_restart(state: Path) -> None:
    settings = TwinSettings(state, holdout_share=0)
    with Twin(settings, said=lambda _: None) as info:
        before = Laptop(info)
        done = before.submit("Wire the retry budget of the broker into the relay", "done")
        before.ended(done)
        eventually(lambda: "snapshot-after" in before.remembered(done), "everything remembered", TICKS)
        # Only now: it says how much is remembered of it.
        ended, story = before.task(done), before.story(done)
        running = before.submit("Stay a while\nfacteur: sleep 600", "running")
        eventually(lambda: "heartbeat" in before.story(running), "the agent at work", TICKS)
        memories = before.ask(running, "retry budget")
        assert str(done) in {result["provenance"]["taskId"] for result in memories}
    with Twin(settings, said=lambda _: None) as info:
        after = Laptop(info)
        assert after.task(done) == ended
        assert after.story(done) == story
        assert after.ask(running, "retry budget") == memories
        assert after.submit("Wire the retry budget of the broker into the relay", "done") == done
        cut_off = after.ended(running)
        assert cut_off["status"] in FINAL and cut_off["reason"]
        assert cut_off["attempts"] == 1
        new = after.submit("Wire the retry budget into the relay again", "new")
        assert after.ended(new)["status"] == "succeeded"
        assert str(done) in {result["provenance"]["taskId"] for result in after.ask(new, "retry budget")}
        assert after.jobs() == sorted(after.job(task).name for task in (done, running, new))
        assert json.loads((after.job(running) / "status.json").read_text())["phase"] != "running"
