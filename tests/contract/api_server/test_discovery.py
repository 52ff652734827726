"""How clients learn what there is."""

from tests.cluster.fake.kinds import KINDS, discovery
from tests.contract.api_server.space import Space


def test_the_server_says_its_version(space: Space) -> None:
    _, version = space.api.request("GET", "/version")
    assert version["gitVersion"].startswith("v1.") and version["major"] == "1" and version["minor"]


def test_the_groups_are_listed_with_their_versions(space: Space) -> None:
    _, groups = space.api.request("GET", "/apis")
    versions = {group["name"]: group["preferredVersion"]["groupVersion"] for group in groups["groups"]}
    for kind in KINDS:
        assert not kind.group or versions[kind.group] == kind.api_version
    assert space.api.request("GET", "/api")[1]["versions"] == ["v1"]
    assert space.api.request("GET", "/apis/batch")[1]["preferredVersion"]["version"] == "v1"


def test_every_kind_is_told_as_the_fake_tells_it(space: Space) -> None:
    for version in sorted({kind.api_version for kind in KINDS}):
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        _, told = space.api.request("GET", path)
        found = {row["name"]: row for row in told["resources"]}
        for row in (discovery(path) or {})["resources"]:
            real = found[row["name"]]
            assert (real["kind"], real["namespaced"]) == (row["kind"], row["namespaced"])
            assert set(row["verbs"]) <= set(real["verbs"]), row["name"]
            assert real.get("shortNames") == row.get("shortNames")


def test_what_is_not_there_cannot_be_discovered(space: Space) -> None:
    for path in ("/apis/nonsense.example", "/apis/nonsense.example/v1", "/apis/batch/v9", "/api/v9", "/nonsense"):
        assert space.api.request("GET", path)[0] == 404
