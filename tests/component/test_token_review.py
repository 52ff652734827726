"""TokenReview: only what the API server confirms for our audience is believed, and only for a short time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.domain.errors import Unavailable
from shared.kubernetes.token_review import TokenReview
from shared.local.state import free_port
from tests.component.kubernetes_api import AUDIENCE, OWN_TOKEN, KubernetesApi, jwt, kubernetes_api
from tests.patience import PATIENCE

BUILDER = "system:serviceaccount:ci:builder"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubernetesApi]:
    with kubernetes_api(tmp_path / "credentials") as running:
        running.users[jwt("builder")] = (BUILDER, ["https://kubernetes.default.svc", AUDIENCE])
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def review(api: KubernetesApi, clock: Clock) -> TokenReview:
    return TokenReview(api.url, api.credentials, AUDIENCE, clock, timeout=PATIENCE)


def test_a_token_for_our_audience_tells_its_user(review: TokenReview) -> None:
    assert review.username(jwt("builder")) == BUILDER


def test_an_unknown_token_and_one_for_another_audience_tell_nobody(api: KubernetesApi, review: TokenReview) -> None:
    api.users[jwt("foreign")] = (BUILDER, ["https://kubernetes.default.svc"])
    assert review.username(jwt("unknown")) is None
    assert review.username(jwt("foreign")) is None


def test_a_server_that_knows_no_audiences_is_not_believed(api: KubernetesApi, review: TokenReview) -> None:
    api.knows_audiences = False
    assert review.username(jwt("builder")) is None


def test_a_good_answer_holds_for_a_minute_and_a_bad_one_for_five_seconds(
    api: KubernetesApi, review: TokenReview, clock: Clock
) -> None:
    assert review.username(jwt("late")) is None
    review.username(jwt("builder"))
    api.users = {jwt("late"): (BUILDER, [AUDIENCE])}
    clock.now += 4.9
    assert (review.username(jwt("builder")), review.username(jwt("late"))) == (BUILDER, None)
    assert api.asked == [jwt("late"), jwt("builder")]
    clock.now += 0.1
    assert review.username(jwt("late")) == BUILDER
    clock.now += 54.9
    assert review.username(jwt("builder")) == BUILDER
    clock.now += 0.1
    assert review.username(jwt("builder")) is None
    assert len(api.asked) == 4


def test_a_flood_of_wrong_tokens_does_not_drive_out_the_good_ones(api: KubernetesApi, review: TokenReview) -> None:
    review.username(jwt("builder"))
    for number in range(1030):
        assert review.username(jwt(f"wrong{number}")) is None
    review.username(jwt("builder"))
    assert api.asked.count(jwt("builder")) == 1
    review.username(jwt("wrong0"))
    assert api.asked.count(jwt("wrong0")) == 2


def test_its_own_token_is_read_anew_as_kubernetes_replaces_it(api: KubernetesApi, review: TokenReview) -> None:
    api.reviewers = {"a-renewed-token"}
    with pytest.raises(Unavailable):
        review.username(jwt("builder"))
    (api.credentials / "token").write_text("a-renewed-token")
    assert review.username(jwt("builder")) == BUILDER


@pytest.mark.parametrize(
    "broken",
    [
        (500, b"{}"),
        (403, b"{}"),
        (404, b"{}"),
        (302, b""),
        (201, b"not json"),
        (201, b"[]"),
        (201, b"{}"),
        (201, b'{"status": true}'),
        (201, b"[" * 100_000),
    ],
    ids=str,
)
def test_an_answer_that_is_none_opens_no_door_and_is_not_remembered(
    api: KubernetesApi, review: TokenReview, broken: tuple[int, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    api.broken = broken
    with pytest.raises(Unavailable) as refused:
        review.username(jwt("builder"))
    assert OWN_TOKEN not in str(refused.value) + str([record.__dict__ for record in caplog.records])
    api.broken = None
    assert review.username(jwt("builder")) == BUILDER


@pytest.mark.parametrize(
    "status",
    [
        b'{"authenticated": "true", "user": {"username": "x"}, "audiences": ["facteur"]}',
        b'{"authenticated": true, "user": {"username": "x"}, "audiences": "facteur"}',
        b'{"authenticated": true, "user": {"username": ""}, "audiences": ["facteur"]}',
        b'{"authenticated": true, "user": "x", "audiences": ["facteur"]}',
        b'{"authenticated": true, "user": {"username": ["x"]}, "audiences": ["facteur"]}',
        b'{"user": {"username": "x"}, "audiences": ["facteur"]}',
    ],
)
def test_half_an_answer_names_nobody(api: KubernetesApi, review: TokenReview, status: bytes) -> None:
    api.broken = (201, b'{"status": ' + status + b"}")
    assert review.username(jwt("builder")) is None


def test_a_server_that_is_away_and_credentials_that_are_missing_open_no_door(api: KubernetesApi) -> None:
    with pytest.raises(Unavailable):
        TokenReview(f"http://127.0.0.1:{free_port()}", api.credentials, AUDIENCE).username(jwt("builder"))
    (api.credentials / "token").unlink()
    with pytest.raises(Unavailable):
        TokenReview(api.url, api.credentials, AUDIENCE).username(jwt("builder"))
    assert api.asked == []


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_only_a_server_with_the_certificate_of_the_cluster_is_asked(tmp_path: Path) -> None:
    with kubernetes_api(tmp_path / "one", tls=True) as api, kubernetes_api(tmp_path / "other", tls=True) as other:
        api.users[jwt("builder")] = (BUILDER, [AUDIENCE])
        assert TokenReview(api.url, api.credentials, AUDIENCE).username(jwt("builder")) == BUILDER
        with pytest.raises(Unavailable):
            TokenReview(other.url, api.credentials, AUDIENCE).username(jwt("builder"))
        (api.credentials / "ca.crt").unlink()
        with pytest.raises(Unavailable):
            TokenReview(api.url, api.credentials, AUDIENCE).username(jwt("builder"))
        assert other.asked == []
