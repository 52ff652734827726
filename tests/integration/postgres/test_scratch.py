"""A database of one's own is never the one that the connection string names."""

from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.postgres.scratch import scratch_database


@pytest.mark.parametrize("shape", ["path", "query", "path and query", "keywords"])
def test_it_is_a_new_one_whatever_the_shape_of_the_connection_string(postgres_server: str, shape: str) -> None:
    parts = urlsplit(postgres_server)
    name = parts.path.lstrip("/")
    given = {
        "path": postgres_server,
        "query": parts._replace(path="", query=f"dbname={name}").geturl(),
        "path and query": parts._replace(query=f"d%62name={name}").geturl(),
        "keywords": make_conninfo(postgres_server),
    }[shape]
    with scratch_database(given) as own, psycopg.connect(own) as connection:
        assert connection.info.dbname.startswith("facteur_scratch_")
