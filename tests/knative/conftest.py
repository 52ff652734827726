"""One cluster for all tests of a run, and what is installed on it: each part when the first test needs it."""

import os

import pytest

from tests.cluster.control_plane import say
from tests.knative.cluster.node import DESCRIPTION, Node
from tests.knative.platform.cluster import Knative
from tests.knative.platform.install import Platform

# A node is started by `make test-knative` alone: without it nothing here can be run.
collect_ignore_glob = [] if DESCRIPTION in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster() -> Node:
    return Node.from_environment()


@pytest.fixture(scope="session")
def platform(cluster: Node) -> Platform:
    """Images and kinds are there."""
    found = Platform(cluster, say)
    found.prepare()
    return found


@pytest.fixture(scope="session")
def eventing(cluster: Node, platform: Platform) -> Knative:
    """The cluster with Knative Eventing."""
    platform.eventing()
    return Knative(cluster)


@pytest.fixture(scope="session")
def serving(cluster: Node, platform: Platform) -> Knative:
    """The cluster with Knative Serving and Kourier."""
    platform.serving()
    return Knative(cluster)
