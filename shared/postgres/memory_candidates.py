"""How many candidates a search of the memory index looks at, and compares exactly."""

# Up to so many matching rows are looked at one by one: it takes milliseconds, and misses nothing.
EXACT = 10_000
# So many are compared exactly, and more where a sketch has few bits: far more than are asked for.
CANDIDATES, CANDIDATE_BITS, MOST_CANDIDATES = 400, 200_000, 1000
# Among more vectors more look alike: the index proposes one of so many, too.
VECTORS_PER_CANDIDATE = 500
# The index is followed until the filters have left enough candidates, but no farther than to so many for each of those:
# from there on reading every sketch takes less.
WALKED_PER_CANDIDATE = 20
# The filters leave the question its neighbourhood if so many of the nearest contents have a row that matches; strangers
# are among those where a sketch has few bits. Of more vectors more are around. Far away all look alike, and more are
# compared.
AROUND, LEFT, LEFT_BITS = 400, 20, 20_480
FAR_CANDIDATES, FAR_CANDIDATE_BITS = 1600, 1_600_000
# Far away the rows of so many contents for each candidate are looked up: of one task there may be more than a few.
CONTENTS_PER_CANDIDATE = 2
# So many rows of one content are looked at, of which the best is found; and so many of one task are compared exactly.
ROWS_OF_CONTENT, ROWS_OF_TASK = 4, 8


def candidates(bits: int, limit: int) -> int:
    """The fewer bits a sketch has, the more rows look alike by it."""
    return max(8 * limit, min(max(CANDIDATES, CANDIDATE_BITS // bits), MOST_CANDIDATES))


def far_candidates(bits: int) -> int:
    """How many are compared where the filters leave nothing near."""
    return max(FAR_CANDIDATES, FAR_CANDIDATE_BITS // bits)


def left(bits: int) -> int:
    """How many of the contents around a question must have a row that matches."""
    return max(LEFT, LEFT_BITS // bits)
