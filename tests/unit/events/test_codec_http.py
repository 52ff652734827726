"""The HTTP binding: which mode a message is in, and what its headers may say."""

import pytest

from shared.domain.errors import Malformed
from shared.events.codec import decode, decode_one, encode, is_event
from shared.events.event import Event

Headers = dict[str, str]
LEAST = {"ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "/orders", "ce-type": "org.example.placed"}
STRUCTURED = "application/cloudevents+json"
BODY = b'{"specversion":"1.0","id":"e-1","source":"/orders","type":"org.example.placed","level":3}'


def test_header_names_may_be_in_any_case() -> None:
    headers = {name.title(): value for name, value in LEAST.items()} | {
        "CE-TraceParent": "t",
        "CONTENT-TYPE": "text/plain",
    }
    assert decode_one(headers, b"hello") == Event(
        "e-1",
        "/orders",
        "org.example.placed",
        datacontenttype="text/plain",
        extensions={"traceparent": "t"},
        data=b"hello",
    )


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600"),
        ("%e2%82%ac", "\u20ac"),
        ("%41%2D%7e", "A-~"),
        ("%2541", "%41"),
        ("a b", "a b"),
        ("  trimmed\t", "trimmed"),
        ("%20kept%20", " kept "),
        ('"quoted \\"%22\\" \\\\ %20"', 'quoted """ \\  '),
        ("a,b;c=(d)", "a,b;c=(d)"),
    ],
)
def test_header_values_are_unquoted_and_percent_decoded_once(value: str, subject: str) -> None:
    assert decode_one({**LEAST, "ce-subject": value}, b"").subject == subject


def test_header_values_are_percent_encoded_as_the_binding_says() -> None:
    event = Event(
        "a b",
        "/s%20t",
        "t",
        subject='50% "\u20ac\U0001f600"',
        extensions={"plain": "!#$&'()*+,-./:;<=>?@[]^_`{|}~"},
    )
    headers, body = encode(event)
    assert headers == {
        "ce-specversion": "1.0",
        "ce-id": "a%20b",
        "ce-source": "/s%2520t",
        "ce-type": "t",
        "ce-subject": "50%25%20%22%E2%82%AC%F0%9F%98%80%22",
        "ce-plain": "!#$&'()*+,-./:;<=>?@[]^_`{|}~",
    }
    assert body == b""


def test_binary_data_is_the_body_untouched() -> None:
    event = Event("i", "/s", "t", datacontenttype="application/json; charset=utf-8", data=b'{"a":NaN,\xff')
    headers, body = encode(event)
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert body == event.data
    assert decode_one(headers, body) == event


@pytest.mark.parametrize(
    "event",
    [
        Event("", "/s", "t"),
        Event("i", "", "t"),
        Event("i", "/s", ""),
        Event("i", "/s p", "t"),
        Event("i", "/s", "t", subject=""),
        Event("i", "/s", "t", time="2026-01-01"),
        Event("i", "/s", "t", datacontenttype="json"),
        Event("i", "/s", "t", datacontenttype="application/cloudevents-batch+json"),
        Event("i", "/s", "t", dataschema="schema"),
        Event("i\r\nx-other: 1", "/s", "t"),
        Event("i", "/s", "t", extensions={"Upper": "x"}),
        Event("i", "/s", "t", extensions={"data": "x"}),
        Event("i", "/s", "t", extensions={"id": "other"}),
        Event("i", "/s", "t", extensions={"specversion": "0.3"}),
        Event("i", "/s", "t", extensions={"ext": "\ud800"}),
    ],
)
def test_an_event_that_would_be_refused_is_not_written(event: Event) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        encode(event)


def test_no_refusal_repeats_input() -> None:
    secret = "hunter2"
    for headers in (
        {**LEAST, f"ce-{secret}.": "x"},
        {**LEAST, "ce-time": secret},
        {**LEAST, "ce-ext": f"{secret}%0A"},
        {**LEAST, "content-type": f"application/cloudevents+{secret}"},
        {"content-type": STRUCTURED},
    ):
        with pytest.raises(Malformed) as refused:
            decode(headers, f'{{"{secret}":{secret}'.encode())
        assert secret not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "content_type",
    [
        STRUCTURED,
        "Application/CloudEvents+JSON",
        f"{STRUCTURED}; charset=UTF-8",
        f'{STRUCTURED};charset="utf-8";x=y',
        f" {STRUCTURED} ",
    ],
)
def test_the_structured_mode_is_chosen_by_content_type(content_type: str) -> None:
    event = decode_one({"content-type": content_type}, BODY)
    assert event.extensions == {"level": "3"}


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("application/cloudevents", "only the JSON event format"),
        ("application/cloudevents+xml", "only the JSON event format"),
        ("application/cloudevents+avro", "only the JSON event format"),
        ("application/cloudevents+jsonx", "only the JSON event format"),
        ("application/cloudevents-batch", "only the JSON event format"),
        ("application/cloudevents-batch+avro", "only the JSON event format"),
        (f"{STRUCTURED}; charset=utf-16", "charset"),
        (f"{STRUCTURED}; charset=utf-8; charset=latin1", "charset"),
        (f"{STRUCTURED}; charset", "media type"),
    ],
)
def test_other_event_formats_are_refused_in_words(content_type: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        decode({**LEAST, "content-type": content_type}, BODY)


@pytest.mark.parametrize("said", [LEAST, {"ce-id": "e%2D1"}, {"ce-level": "3"}])
def test_headers_beside_a_structured_event_may_repeat_it(said: Headers) -> None:
    assert decode_one({**said, "content-type": STRUCTURED}, BODY).id == "e-1"


@pytest.mark.parametrize(
    "said",
    [
        {"ce-id": "e-2"},
        {"ce-specversion": "0.3"},
        {"ce-other": "x"},
        {"ce-level": "03"},
        {"ce-datacontenttype": "a/b"},
    ],
)
def test_headers_beside_a_structured_event_must_not_contradict_it(said: Headers) -> None:
    with pytest.raises(Malformed):
        decode({**said, "content-type": STRUCTURED}, BODY)


def test_headers_beside_a_batch_are_refused() -> None:
    batch = {"content-type": "application/cloudevents-batch+json"}
    with pytest.raises(Malformed, match="batch"):
        decode({**batch, "ce-id": "e-1"}, b"[" + BODY + b"]")
    assert len(decode(batch, b"[" + BODY + b"]")) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"content-type": "application/json"}, False),
        ({"content-type": "application/x-protobuf", "ce-traceparent": "x"}, False),
        ({"Ce-Id": "x"}, True),
        ({"ce-specversion": "0.3"}, True),
        ({"Content-Type": "APPLICATION/cloudevents+avro"}, True),
        ({"content-type": " application/cloudevents-batch+json"}, True),
    ],
)
def test_a_message_that_means_to_be_an_event_is_known_by_its_headers(headers: Headers, expected: bool) -> None:
    assert is_event(headers) is expected
