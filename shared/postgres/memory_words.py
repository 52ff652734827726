"""Which words of a question memories are looked up and ranked by: few, and rare ones first."""

# Words are looked up until they are expected in so many rows, and so many words at most: what ranking by words takes
# grows with the square of how many they are.
ROWS, WORDS = 2000, 24
# So much of a text is read.
CHARACTERS = 20_000

# A tsquery of any of the words of %(text)s, NULL without one. Stands where `size` says how many rows match.
# The statistics of PostgreSQL know how often words are used here; one that they do not list is rare. Of words that are
# equally rare, those that the question repeats, and then long ones, say best what it is about.
RARE = f"""(
    SELECT string_agg(quoted, ' | ')::tsquery FROM (
        SELECT quoted, sum(uses) OVER rarest AS uses, row_number() OVER rarest AS place FROM (
            SELECT '''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || '''' AS quoted,
                cardinality(positions) AS said,
                coalesce(common.share, 0) * (SELECT CASE WHEN small THEN rows ELSE greatest(reltuples, 0) END
                    FROM size, pg_class WHERE oid = 'codex_kb.codex_task_memory_index'::regclass) AS uses
            FROM unnest(to_tsvector('english', %(text)s::text))
            LEFT JOIN (
                SELECT unnest(most_common_elems::text::text[]) AS lexeme, unnest(most_common_elem_freqs) AS share
                FROM pg_stats WHERE (schemaname, tablename, attname) = ('codex_kb', 'codex_task_memory_index', 'words')
            ) AS common USING (lexeme)
        ) AS one WINDOW rarest AS (ORDER BY uses, said DESC, length(quoted) DESC, quoted)
    ) AS summed WHERE place <= {WORDS} AND (uses <= {ROWS} OR place = 1))"""  # noqa: S608  # the only things put in are the constants above


def beginning(text: str) -> str:
    """As much of a text as is read of it; of a longer one without the last word, which may have been cut."""
    if len(text) <= CHARACTERS:
        return text
    return "".join(text[:CHARACTERS].rsplit(maxsplit=1)[:1])
