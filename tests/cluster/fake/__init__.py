"""A Kubernetes API server in this process: what facteur uses of the real one, with its Job controller."""

from tests.cluster.fake.server import FakeApiServer

__all__ = ["FakeApiServer"]
