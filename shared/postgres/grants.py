"""Gives the database role of each function what its statements need; takes away what it has beyond that if asked."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from shared.postgres.privileges import FUNCTIONS, privileges, role, timeouts

PUBLIC = "public"

_ROLES = "SELECT rolname, coalesce(rolconfig, '{}') FROM pg_roles WHERE rolname = ANY(%(names)s)"
# What everybody has is a grant to 0. A database without a list of its own has the one that is built in.
_HELD = """
SELECT CASE held.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(held.grantee) END, kind, name,
    held.privilege_type || coalesce(' (' || quote_ident(attname) || ')', '')
FROM (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, ARRAY[nspname, relname]::text[] AS name,
        NULL::name AS attname, relacl AS acl
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'codex_kb' OR pg_class.oid = 'public.facteur_migrations'::regclass
    UNION ALL
    SELECT 'TABLE', ARRAY[nspname, relname], attname, attacl
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'codex_kb' OR attrelid = 'public.facteur_migrations'::regclass
    UNION ALL
    SELECT 'SCHEMA', ARRAY[nspname], NULL, nspacl FROM pg_namespace WHERE nspname = 'codex_kb'
    UNION ALL
    SELECT 'DATABASE', ARRAY[datname], NULL, coalesce(datacl, acldefault('d', datdba))
    FROM pg_database WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')
) AS object CROSS JOIN aclexplode(acl) AS held
WHERE held.grantee = 0 OR pg_get_userbyid(held.grantee) = ANY(%(names)s)
"""
# A number of a row is drawn with the rights of whoever inserts it.
_SEQUENCES = """
SELECT owner.relname, sequence.relname FROM pg_depend
JOIN pg_class AS sequence ON sequence.oid = objid AND sequence.relkind = 'S'
JOIN pg_class AS owner ON owner.oid = refobjid
WHERE classid = 'pg_class'::regclass AND deptype = 'a' AND sequence.relnamespace = 'codex_kb'::regnamespace
"""
_DATABASE = "SELECT datname FROM pg_database WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')"


_READ = "SELECT"
_LATER = "once no earlier release runs, take it away: facteur migrate --revoke"


class Grant(NamedTuple):
    """`role` may do `verb` with an object; the name has its parts, `('codex_kb', 'outbox')`."""

    role: str
    kind: str
    name: tuple[str, ...]
    verb: str


def grant(
    connection: psycopg.Connection, say: Callable[[str], None] = lambda _: None, revoke: bool = False
) -> list[str]:
    """Gives the roles that the server has what they may do, in one transaction; returns their names.

    What everybody has of the schema is taken away. What roles hold beyond their needs stays, since functions of an
    earlier release may run, and is told; with `revoke` it is taken away as well. Where the connection does not own the
    database, nothing is changed about who may connect. Raises psycopg.errors.InsufficientPrivilege for a connection
    that does not own the tables.
    """
    names = [role(function) for function in FUNCTIONS]
    found: dict[str, list[str]] = dict(connection.execute(_ROLES, {"names": names}).fetchall())
    say(f"roles of functions: {', '.join(sorted(found)) or 'none'}")
    if found:
        with connection.transaction():
            changed, wide = _change(connection, sorted(found), revoke)
        if changed:
            say(f"changed what {', '.join(changed)} may do")
        if wide:
            say(f"{', '.join(wide)} may do more than this release needs; {_LATER}")
    for function in FUNCTIONS:
        if role(function) in found:
            _limit(connection, function, found[role(function)], say)
    return sorted(found)


def differences(connection: psycopg.Connection) -> tuple[set[Grant], set[Grant]]:
    """What the roles of functions that the server has lack, and what they, or everybody, have too much."""
    names = [role(function) for function in FUNCTIONS]
    found = [name for name, _ in connection.execute(_ROLES, {"names": names}).fetchall()]
    held = _held(connection, found)
    wanted = _wanted(connection, found, held)
    return wanted - held, held - wanted


def _change(connection: psycopg.Connection, roles: Sequence[str], revoke: bool) -> tuple[list[str], list[str]]:
    """The roles whose grants were changed, and those that keep more than they need."""
    held = _held(connection, roles)
    wanted = _wanted(connection, roles, held)
    beyond = held - wanted
    # No release rests on what everybody has.
    taken = beyond if revoke else {one for one in beyond if one.role == PUBLIC}
    narrowed = {one[:3] for one in taken}
    differing = narrowed | {one[:3] for one in wanted - held}
    for who, kind, name in sorted(differing):
        verbs = sorted(one.verb for one in wanted if one[:3] == (who, kind, name))
        _set(connection, Grant(who, kind, name, ", ".join(verbs)), afresh=(who, kind, name) in narrowed)
    return sorted({who for who, _, _ in differing}), sorted({one.role for one in beyond - taken})


def _set(connection: psycopg.Connection, wanted: Grant, afresh: bool) -> None:
    grantee = "PUBLIC" if wanted.role == PUBLIC else sql.Identifier(wanted.role).as_string(connection)
    on = f"ON {wanted.kind} {sql.Identifier(*wanted.name).as_string(connection)}"
    if afresh:
        connection.execute(f"REVOKE ALL {on} FROM {grantee}".encode())
    if wanted.verb:
        connection.execute(f"GRANT {wanted.verb} {on} TO {grantee}".encode())


def _held(connection: psycopg.Connection, roles: Sequence[str]) -> set[Grant]:
    rows = connection.execute(_HELD, {"names": list(roles)}).fetchall()
    return {Grant(who, kind, tuple(name), verb) for who, kind, name, verb in rows}


def _wanted(connection: psycopg.Connection, roles: Sequence[str], held: set[Grant]) -> set[Grant]:
    sequences = connection.execute(_SEQUENCES).fetchall()
    databases = [(name,) for (name,) in connection.execute(_DATABASE).fetchall()]
    # Who may connect as everybody stays able to, and makes nothing.
    wanted = {one for one in held if (one.role, one.kind, one.verb) == (PUBLIC, "DATABASE", "CONNECT")}
    for function in FUNCTIONS:
        who = role(function)
        if who in roles:
            may = set(privileges(function))
            wanted |= {Grant(who, "TABLE", ("codex_kb", one.table), one.verb) for one in may}
            drawn = [sequence for table, sequence in sequences if ("INSERT", table) in may]
            wanted |= {Grant(who, "SEQUENCE", ("codex_kb", sequence), "USAGE") for sequence in drawn}
            wanted |= {Grant(who, "DATABASE", name, "CONNECT") for name in databases}
            wanted.add(Grant(who, "SCHEMA", ("codex_kb",), "USAGE"))
            # Whether the database has the migration that the function needs.
            wanted.add(Grant(who, "TABLE", ("public", "facteur_migrations"), f"{_READ} (name)"))
    return wanted


def _limit(connection: psycopg.Connection, function: str, config: Sequence[str], say: Callable[[str], None]) -> None:
    """Sets the role's timeouts, as far as the connection may alter roles."""
    for name, value in timeouts(function)._asdict().items():
        if f"{name}={value}" in config:
            continue
        alter = sql.SQL("ALTER ROLE {} SET {} = {}").format(
            sql.Identifier(role(function)), sql.Identifier(name), sql.Literal(value)
        )
        try:
            connection.execute(alter)
        except psycopg.errors.InsufficientPrivilege:
            say(f"not allowed here; whoever may, should: {alter.as_string(connection)}")
