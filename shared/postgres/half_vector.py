"""Vectors on their way to the database, in the binary form of pgvector's `halfvec`."""

import struct
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format


class HalfVector:
    """A parameter of type halfvec: a twentieth of the work that its text is, for both sides."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values


class _HalfDumper(Dumper):
    # Of what type it is the statement says; extensions have no fixed number.
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        values = obj.values
        return struct.pack(f">HH{len(values)}e", len(values), 0, *values)


psycopg.adapters.register_dumper(HalfVector, _HalfDumper)
