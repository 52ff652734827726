"""Real servers from wheels: PostgreSQL with pgvector, and a Redis-compatible server."""
