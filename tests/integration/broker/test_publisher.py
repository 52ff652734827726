"""What the door to the broker shows of whoever sends."""

from pathlib import Path

from shared.broker.publisher import HttpPublisher
from shared.events.event import Event
from tests.integration.broker.conftest import Subscribe

EVENT = Event("1", "/test", "t")


def test_the_token_of_the_sink_binding_is_shown_as_it_is_now(subscribe: Subscribe, tmp_path: Path) -> None:
    ingress, token = subscribe(), tmp_path / "token"
    publisher = HttpPublisher(ingress.url, token=token)
    publisher.publish(EVENT)
    for content in ("one\n", "two", "an\nother: header\n", "", "\n"):
        token.write_text(content)
        publisher.publish(EVENT)
    shown = [delivery.headers.get("authorization") for delivery in ingress.deliveries]
    assert shown == [None, "Bearer one", "Bearer two", None, None, None]
    assert not any("other" in delivery.headers for delivery in ingress.deliveries)
