"""The contract of brokers, kept by Knative's: the same table of answers as for the local broker."""

import pytest

from tests.knative.platform.cluster import Knative
from tests.knative.platform.suites import passes

# What the first test of a run installs takes longer than a test may otherwise.
pytestmark = pytest.mark.timeout(1800)


def test_the_broker_keeps_the_table_of_answers(eventing: Knative) -> None:
    cluster = eventing.cluster
    environment = {
        "FACTEUR_TEST_KNATIVE_KUBECONFIG": cluster.kubeconfig,
        "FACTEUR_TEST_KUBECTL": cluster.kubectl_program,
        "FACTEUR_TEST_HOST_ADDRESS": cluster.host_address,
        "FACTEUR_TEST_BROKER_INGRESS": eventing.broker_ingress,
    }
    assert passes("tests/contract/broker", environment, "-k", "knative")
