"""Who listens where settings lead to."""

import socket

from shared.doctor.addresses import addresses
from shared.doctor.checks import Unseen
from shared.domain.condition import Address


def test_who_listens_is_told_from_nobody() -> None:
    # Who has a port and does not listen keeps everybody else from listening there meanwhile.
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port, nobody = server.getsockname()[1], silent.getsockname()[1]
        settings = {"FACTEUR_CALLBACK_URL": f"http://127.0.0.1:{port}", "K_SINK": f"http://127.0.0.1:{nobody}/a/b"}
        assert addresses(settings) == (
            Address("FACTEUR_CALLBACK_URL", f"127.0.0.1:{port}", listens=True),
            Address("K_SINK", f"127.0.0.1:{nobody}", listens=False),
        )


def test_names_that_only_a_cluster_knows_are_not_judged() -> None:
    assert isinstance(addresses({"FACTEUR_CALLBACK_URL": "http://callback.facteur.svc.cluster.invalid"}), Unseen)


def test_what_is_no_url_is_left_to_the_check_of_settings() -> None:
    assert isinstance(addresses({"K_SINK": "http://127.0.0.1:many"}), Unseen)
    assert isinstance(addresses({"K_SINK": "broker:80", "FACTEUR_MEMORY_URL": "ftp://127.0.0.1"}), Unseen)
    assert addresses({}) == ()
