"""An embedder that needs no network, no key and no model: lexical, offline; not OpenAI.

Words, word pairs and character n-grams are hashed into a vector of fixed length. Texts that share
words or parts of words are near each other; texts that only share their meaning are not.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from zlib import crc32

from shared.domain.errors import Rejected

# Any change to what is below changes every vector: then the name must get a new version.
MODEL = "facteur-offline-lexical-v1"
DEFAULT_DIMENSION = 512
LEAST_DIMENSION = 64

_WORD_WEIGHT = 1.0
_PAIR_WEIGHT = 0.5
_GRAM_WEIGHT = 0.25
_STOP_WEIGHT = 0.1
_GRAM_SIZES = (3, 4, 5)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_STOP_WORDS = frozenset(
    _WORD.findall(
        """
    a about after all also an and any are as at be because been before but by can could did do does
    for from get had has have how i if in into is it its just like make me more my need no not of on
    only or other our out over please should so some such than that the their them then there these
    they this to too under up us use was we were what when where which while who why will with would
    you your
    """
    )
)


class OfflineEmbedder:
    """Feature hashing in the standard library; the same vector on every machine, for ever."""

    def __init__(self, dimension: int = DEFAULT_DIMENSION) -> None:
        if dimension < LEAST_DIMENSION:
            raise ValueError(f"an offline embedder needs a dimension of at least {LEAST_DIMENSION}")
        self.dimension = dimension
        self.model = MODEL if dimension == DEFAULT_DIMENSION else f"{MODEL}-{dimension}"

    def describe(self) -> str:
        return f"{self.model}: lexical, offline; not OpenAI (finds shared words, not shared meaning)"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of unit length per text, in order; Rejected if a text is empty."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        if not text.strip():
            raise Rejected("text is empty: there is nothing to embed")
        vector = [0.0] * self.dimension
        for (weight, feature), count in Counter(_features(_words(text))).items():
            # CRC-32 spreads well enough here and is four times as fast as a cryptographic digest.
            digest = crc32(feature.encode("utf-8", "replace"))
            value = weight * (1.0 + math.log(count))
            vector[digest % self.dimension] += value if digest >> 31 else -value
        norm = math.hypot(*vector)
        return [value / norm for value in vector]


def _words(text: str) -> list[str]:
    """The words of a text in lower case: parts of identifiers and paths are words of their own."""
    plain = _HUMP.sub(" ", unicodedata.normalize("NFKC", text)).casefold()
    return _WORD.findall(plain) or [plain.strip()]


def _features(words: list[str]) -> Iterator[tuple[float, str]]:
    """The weighted features of a text; the first letter keeps the kinds apart."""
    for word in words:
        if word in _STOP_WORDS:
            yield _STOP_WEIGHT, f"w{word}"
            continue
        yield _WORD_WEIGHT, f"w{word}"
        framed = f"<{word}>"
        for size in _GRAM_SIZES:
            for start in range(len(framed) - size + 1):
                yield _GRAM_WEIGHT, f"g{framed[start : start + size]}"
    for left, right in pairwise(words):
        if left not in _STOP_WORDS and right not in _STOP_WORDS:
            yield _PAIR_WEIGHT, f"p{left} {right}"
