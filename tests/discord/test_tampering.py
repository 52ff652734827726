"""What Discord did not sign just so, just now, is refused without a word, and nothing comes of it."""

import time
from collections.abc import Callable, Mapping

import pytest
from nacl.signing import SigningKey

from shared.local.discord import signed as signed_by_discord
from tests.component.conftest import until
from tests.discord.simulator import KEY
from tests.discord.stand import Stand, told

NUMBER = 1000
STRANGER = SigningKey(b"\x08" * 32)
SIGNATURE, TIMESTAMP = "X-Signature-Ed25519", "X-Signature-Timestamp"
Request = tuple[bytes, dict[str, str]]


def signed(body: bytes, key: SigningKey = KEY, late: float = 0) -> dict[str, str]:
    timestamp = str(int(time.time() - late))
    return {TIMESTAMP: timestamp, SIGNATURE: key.sign(timestamp.encode() + body).signature.hex()}


def flipped(raw: bytes, number: int) -> bytes:
    """The bytes with one bit turned; which one follows from the number."""
    bit = number * 7919 % (8 * len(raw))
    return raw[: bit // 8] + bytes([raw[bit // 8] ^ 1 << bit % 8]) + raw[bit // 8 + 1 :]


def other_signature(body: bytes, number: int) -> Request:
    good = signed(body)
    return body, good | {SIGNATURE: flipped(bytes.fromhex(good[SIGNATURE]), number).hex()}


def other_time(body: bytes, number: int) -> Request:
    good = signed(body)
    return body, good | {TIMESTAMP: str(int(good[TIMESTAMP]) - 1 - number % 100)}


def written_otherwise(body: bytes, number: int) -> Request:
    good = signed(body)
    written = ("0" + good[TIMESTAMP], good[TIMESTAMP] + ".0", "-" + good[TIMESTAMP], "+" + good[TIMESTAMP], "")
    return body, good | {TIMESTAMP: written[number % len(written)]}


def missing(body: bytes, number: int) -> Request:
    good = signed(body)
    del good[(SIGNATURE, TIMESTAMP)[number % 2]]
    return body, good


def of_wrong_length(body: bytes, number: int) -> Request:
    good = signed(body)
    whole = good[SIGNATURE]
    lengths = (whole[:-2], whole[:-1], whole + "00", whole + whole, whole[:64], "", "zz" * 64)
    return body, good | {SIGNATURE: lengths[number % len(lengths)]}


def of_another_body(body: bytes, number: int) -> Request:
    return body, signed(body + b" " * (1 + number % 5))


TAMPERED: Mapping[str, Callable[[bytes, int], Request]] = {
    "a bit of the body": lambda body, number: (flipped(body, number), signed(body)),
    "a bit of the signature": other_signature,
    "another time": other_time,
    "the time written otherwise": written_otherwise,
    "a header is missing": missing,
    "too old": lambda body, number: (body, signed(body, late=302 + number)),
    "too new": lambda body, number: (body, signed(body, late=-302 - number)),
    "by another key": lambda body, number: (body, signed(body, STRANGER)),
    "of a wrong length": of_wrong_length,
    "of another body": of_another_body,
    "cut short": lambda body, number: (body[: -1 - number % (len(body) - 1)], signed(body)),
}


@pytest.mark.timeout(240)
def test_a_thousand_tampered_requests_are_a_thousand_empty_401_and_no_effect(stand: Stand) -> None:
    kinds = list(TAMPERED.items())
    document = stand.asked()
    body, _ = signed_by_discord(KEY.encode().hex(), document)
    before = stand.dump()
    with stand.function() as function:
        wrong = []
        for number in range(NUMBER):
            name, tamper = kinds[number % len(kinds)]
            answer = function.post("/interactions", *tamper(body, number))
            if (answer.status, answer.data) != (401, b""):
                wrong.append((name, number, answer.status))
        assert wrong == []
        assert stand.dump() == before
        assert (stand.broker.events, stand.redis.dbsize(), stand.discord.api.seen) == ([], 0, [])
        # The same interaction as Discord signed it is obeyed, and all of this would be seen.
        answered = stand.discord.interact(function.url, document)
        until(lambda: told(answered))
    assert len(stand.broker.events) == 1
    assert (stand.dump() == before, stand.redis.dbsize() > 0) == (False, True)
