"""The door to Postgres: every statement of the system lives in this package, psycopg stays behind it."""
