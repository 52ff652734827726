"""The proxy that makes requests fail: which ones, how, and exactly when."""

import threading
from collections.abc import Iterator

import pytest
import urllib3

from tests.cluster.api import Api, ApiError
from tests.cluster.fault_proxy import FAULTS, Fault, FaultProxy
from tests.contract.api_server.space import Object, Space


@pytest.fixture
def proxy(space: Space) -> Iterator[FaultProxy]:
    with FaultProxy(space.api.url, space.api.credentials / "ca.crt", seed=7) as proxy:
        yield proxy


@pytest.fixture
def api(space: Space, proxy: FaultProxy) -> Api:
    return Api(proxy.url, space.api.credentials)


def _note(name: str = "note") -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


def test_without_faults_nothing_changes(space: Space, proxy: FaultProxy, api: Api) -> None:
    made = api.create(space.path("secrets"), _note())
    assert space.api.get(space.path("secrets", "note")) == made == api.get(space.path("secrets", "note"))
    assert api.get(space.path("secrets", "none")) is None
    assert api.list(space.path("secrets"), "a=b") == []
    assert proxy.counts == {"asked": 4, "forwarded": 4}


@pytest.mark.parametrize(
    ("fault", "reason"), [("409", "Conflict"), ("429", "TooManyRequests"), ("500", "InternalError")]
)
def test_an_error_comes_in_place_of_the_deed(
    space: Space, proxy: FaultProxy, api: Api, fault: str, reason: str
) -> None:
    proxy.rate, proxy.faults = 1.0, [fault]
    status, answer = api.request("POST", space.path("secrets"), _note())
    assert (status, answer["kind"], answer["reason"], answer["code"]) == (int(fault), "Status", reason, int(fault))
    assert space.api.get(space.path("secrets", "note")) is None
    assert proxy.counts == {"asked": 1, fault: 1}


def test_too_many_requests_come_with_a_time_to_wait(space: Space, proxy: FaultProxy) -> None:
    proxy.rate, proxy.faults = 1.0, ["429"]
    answer = urllib3.request("GET", f"{proxy.url}{space.jobs}", retries=False)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


def _reset(api: Api, path: str) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError) as broken:
        api.create(path, _note())
    assert isinstance(broken.value.args[1], ConnectionResetError)


def test_a_reset_leaves_nothing_behind(space: Space, proxy: FaultProxy, api: Api) -> None:
    proxy.rate, proxy.faults = 1.0, ["reset"]
    _reset(api, space.path("secrets"))
    assert space.api.get(space.path("secrets", "note")) is None
    assert proxy.counts == {"asked": 1, "reset": 1}


def test_a_deed_may_be_done_without_an_answer(space: Space, proxy: FaultProxy, api: Api) -> None:
    proxy.rate, proxy.faults = 1.0, ["done-and-reset"]
    _reset(api, space.path("secrets"))
    assert space.api.get(space.path("secrets", "note"))
    assert proxy.counts == {"asked": 1, "forwarded": 1, "done-and-reset": 1}


def test_a_server_that_is_away_is_a_reset(proxy: FaultProxy, space: Space) -> None:
    with FaultProxy("http://127.0.0.1:9") as nowhere:
        _reset(Api(nowhere.url, space.api.credentials), space.path("secrets"))
        assert nowhere.counts == {"asked": 1, "unreachable": 1}


def _fates(space: Space, seed: int) -> list[int]:
    with FaultProxy(space.api.url, space.api.credentials / "ca.crt", seed) as proxy:
        api = Api(proxy.url, space.api.credentials)
        proxy.rate, proxy.faults = 0.5, ["409", "500"]
        return [api.request("GET", space.jobs)[0] for _ in range(30)]


def test_the_seed_says_which_requests_fail(space: Space) -> None:
    fates = _fates(space, 1)
    assert set(fates) == {200, 409, 500}
    assert _fates(space, 1) == fates != _fates(space, 2)


def test_a_hook_may_choose_the_call_that_fails(space: Space, proxy: FaultProxy, api: Api) -> None:
    told: list[tuple[str, str, int]] = []

    def after(method: str, path: str, body: Object, status: int) -> None:
        told.append((method, body["metadata"]["name"], status))
        if body["metadata"]["name"] == "second":
            raise Fault("done-and-reset")

    proxy.hooks.after = after
    api.create(space.path("secrets"), _note("first"))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api.create(space.path("secrets"), _note("second"))
    assert told == [("POST", "first", 201), ("POST", "second", 201)]
    assert space.api.get(space.path("secrets", "second"))


def test_a_hook_may_keep_a_request_from_being_made(space: Space, proxy: FaultProxy, api: Api) -> None:
    def before(method: str, path: str, body: Object) -> None:
        if (method, path) == ("POST", space.path("secrets")):
            raise Fault("409")

    proxy.hooks.before = before
    with pytest.raises(ApiError) as refused:
        api.create(space.path("secrets"), _note())
    assert refused.value.status == 409
    assert space.api.get(space.path("secrets", "note")) is None


def test_a_hook_may_hold_one_request_while_others_pass(space: Space, proxy: FaultProxy, api: Api) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def before(method: str, path: str, body: Object) -> None:
        if method == "POST":
            arrived.set()
            assert go_on.wait(60)

    proxy.hooks.before = before
    held = threading.Thread(target=api.create, args=(space.path("secrets"), _note()))
    held.start()
    assert arrived.wait(60)
    assert api.list(space.path("secrets")) == []
    go_on.set()
    held.join()
    assert space.api.get(space.path("secrets", "note"))


def test_a_hook_that_breaks_is_no_secret(space: Space) -> None:
    def before(method: str, path: str, body: Object) -> None:
        raise LookupError("a mistake in the test")

    with (
        pytest.raises(LookupError, match="a mistake in the test"),
        FaultProxy(space.api.url, space.api.credentials / "ca.crt") as proxy,
    ):
        proxy.hooks.before = before
        with pytest.raises(urllib3.exceptions.ProtocolError):
            Api(proxy.url, space.api.credentials).get(space.jobs)


def test_many_may_ask_at_once(space: Space, proxy: FaultProxy) -> None:
    proxy.rate, proxy.faults = 0.2, FAULTS
    statuses: list[int] = []

    def ask() -> None:
        pool = urllib3.PoolManager(retries=False)
        token = (space.api.credentials / "token").read_text().strip()
        for _ in range(5):
            try:
                answer = pool.request("GET", proxy.url + space.jobs, headers={"Authorization": f"Bearer {token}"})
                statuses.append(answer.status)
            except urllib3.exceptions.HTTPError:
                statuses.append(0)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 200 == proxy.counts["asked"]
    assert statuses.count(0) == proxy.counts["reset"] + proxy.counts["done-and-reset"]
    assert statuses.count(200) == proxy.counts["forwarded"] - proxy.counts["done-and-reset"]
