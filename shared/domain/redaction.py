"""Takes credentials out of a text before it is stored, embedded, compared or logged.

Three passes, each over the result of the one before, until nothing changes: tokens known by their
shape, Kubernetes Secrets, and values whose name says that they are secret. A value that may as well
be code or prose stays. The time is linear in the length of the text: a repeat is bounded, given back
at most once, or never.
"""

import hmac
import itertools
import re
from collections.abc import Iterator

from shared.domain.redaction_manifests import NAME, SECRET_NAME, Span, manifest_values

# Not secret: without a key of your own, whoever guesses a value can confirm the guess.
PUBLIC_KEY = b"facteur redaction: equal values have equal marks"

# In a text that is broken, a quote left open for example, what was hidden can change how the rest reads.
_ROUNDS = 5
_MARK = re.compile(r"\[redacted:[0-9a-f]{8}\]")


def redact(text: str, key: bytes = PUBLIC_KEY) -> str:
    """The text with every credential replaced by `[redacted:<8 hex digits>]`, an HMAC of it under `key`.

    Equal credentials have equal marks. Redacting twice is redacting once.
    """
    for _ in range(_ROUNDS):
        before = text
        for find in (_tokens, manifest_values, _named_values):
            text = _replace(text, sorted(find(text)), key)
        if text == before:
            break
    return text


def _replace(text: str, spans: list[Span], key: bytes) -> str:
    merged: list[Span] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif not _is_hidden(text[start:end]):
            merged.append((start, end))
    parts: list[str] = []
    position = 0
    for start, end in merged:
        digest = hmac.digest(key, text[start:end].encode("utf-8", "replace"), "sha256")
        parts += text[position:start], f"[redacted:{digest.hex()[:8]}]"
        position = end
    return "".join(parts) + text[position:]


def _is_hidden(value: str) -> bool:
    """Whether nothing is left to hide: the value is empty, or marks and punctuation."""
    rest, marks = _MARK.subn("", value)
    return not value or (marks > 0 and not any(character.isalnum() for character in rest))


_numbers = itertools.count()


def _kept(pattern: str) -> str:
    """The pattern as a group that is never given back.

    That is what `(?>…)` and `x*+` mean; Python 3.11 before 3.11.5 matches those wrongly.
    """
    name = f"kept_{next(_numbers)}"
    return f"(?=(?P<{name}>{pattern}))(?P={name})"


# --- tokens known by their shape. A match never ends inside a word, so that no new one begins there.

_PEM_SPACE = r"[\s\"'+,]*(?:\\[nr][\s\"'+,]*)*"
_SHAPES = [
    re.compile(shape, re.ASCII)
    for shape in (
        r"(?P<v>gh[opusr]_[A-Za-z0-9]{30,}[\w-]*)",
        r"(?P<v>github_pat_[\w-]{20,})",
        r"(?P<v>(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}[\w-]*)",
        r"(?P<v>AIza[\w-]{35,})",
        r"(?P<v>xox[abeoprs]-[\w-]{10,})",
        r"(?P<v>(?:glpat-|npm_|hf_|[rs]k_(?:live|test)_|ya29\.)[A-Za-z0-9_-]{20,})",
        r"(?:(?<![\w-])|(?<=\\[nrt]))(?P<v>fct_[0-9]{1,6}_[a-z.]{1,40}_[\w-]{20,})",
        r"(?:(?<![\w-])|(?<=\\[nrt]))(?P<v>(?:sk-|fct_)(?=[A-Za-z_-]*[0-9])[\w-]{20,})",
        r"(?:(?<![\w-])|(?<=\\[nrt]))(?P<v>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)",
        r"(?:(?<![\w-])|(?<=\\[nrt]))(?P<v>[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,})",
        r"(?i:discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/)(?P<v>[\w-]{20,})",
        r"hooks\.slack\.com/(?:services|workflows)/(?P<v>[\w/-]{20,})",
        r"(?i:\bbearer)[ \t]+(?P<v>(?=[A-Za-z._~+/=-]*[0-9])[\w.~+/=-]{8,})",
        r"(?i:authorization)[\\\"']{0,4}[ \t]{0,9}[:=][\\\"' \t]{0,9}(?i:basic|bearer|token|bot)[ \t]+"
        r"(?P<v>[^\s\"'\\,<>{}$\[\]]+)",
        r"://"
        + _kept(r"(?:\[redacted:[0-9a-f]{8}\]|[^\s/?\#@:\"'<>])*")
        + r":(?!\$?\{[^{}@\s]{0,80}\}@|\$\w{1,80}@)(?P<v>[^\s/?\#\"'<>]+)@",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?P<v>(?=" + _kept(_PEM_SPACE) + r"(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]+:))"
        r"(?:"
        + _kept(r"[^-]*(?:-(?!----)[^-]*)*")
        + r"(?=-----END )|"
        + _kept(r"(?:" + _kept(_PEM_SPACE) + _kept(r"[A-Za-z0-9+/=]{16,}") + r")+")
        + r"))",
        r"\"auth\\*\"\s{0,9}:\s{0,9}\\*\"(?P<v>(?=[a-z+/_-]*[A-Z0-9=])[\w+/=-]{8,})",
        r"[?&](?i:sig|signature|x-amz-signature|x-amz-credential)=(?P<v>[^\s&\"'<>]+)",
    )
]


def _tokens(text: str) -> Iterator[Span]:
    for shape in _SHAPES:
        for found in shape.finditer(text):
            yield found.span("v")


# --- values whose name says that they are secret

_NAMED = re.compile(
    rf"{NAME}[\\\"'\]*`]{{0,6}}(?:"
    r"[ \t]{0,20}:[ \t]{0,20}[\w.\[\]| ]{1,40}=[ \t]{0,20}(?=[\"'])"  # name: type = "value"
    r"|(?P<before>[ \t]{0,20})(?P<sign>=>|:=|={1,3}|:(?!:|//))(?:\*\*|__)?(?P<after>[ \t]{0,20})"
    r"|[\s,+]{1,200}\\{0,9}[\"']?value\\{0,9}[\"']?[ \t]{0,20}[:=][ \t]{0,20}"  # name: X, value: Y
    r"|>(?=[^\s<>]{1,200}</)"
    r"|(?P<flag>[ \t]{1,20})(?=[^\s-])"
    r")",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"[bfru]{0,2}(?:(?P<q>\"\"\"|'''|[\"'`])(?P<v>(?:\\.|(?!(?P=q))[^\\\n])*)"
    r"|(?P<e>\\+[\"'])(?P<w>(?:(?!(?<!\\)(?P=e))[^\n])*))",
    re.IGNORECASE,
)
_RUN = re.compile(r"(?:[^\s\"'`<>&]|<(?!/)|&(?![\w.-]{1,40}=))+")
_PLACEHOLDER = re.compile(
    r"(?:bearer |basic )?"
    + _kept(
        r"(?:(?:\$?\{\{?[\w .$-]*\}{1,2}|\$\([\w .-]*\)|(?-i:\$[A-Z_][A-Z0-9_]*)"
        r"|%\(\w+\)s|%s|<[\w .-]*>|\.{3}|" + _kept(r"\*+|x{3,}") + r")" + _kept(r"[-:/_.]*") + r")+"
    ),
    re.IGNORECASE,
)
_NOT_A_VALUE = re.compile(
    r"(?:str|string|secret(?:str|bytes)|bytes|int|integer|number|bool|boolean|any|object|none|null|nil"
    r"|undefined|true|false|required|optional|enabled|disabled|missing|invalid|expired|empty|unset|self|this"
    r"|"
    + _kept(r"(?:[.~]{0,2}/[\w.-]+){2,}")  # /run/secrets/token
    + r")[,;:.?|)\]}]*",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"<|\$\(|\$?\{\{|[A-Za-z][A-Za-z0-9+.-]{1,15}://")
_EXPRESSION = re.compile(
    r"[(\[{]|[A-Za-z_]{1,64}(?:(?:\?\.|\.|::|->)[A-Za-z_]{1,64}){0,9}[(\[{,)\]}]"  # f(password=a.password)
)
_NOT_A_SCALAR = re.compile(r"[|>&*#]|[A-Za-z_.]{1,64};")
_WORD = re.compile(r"(?:[^\W\d]|[-/.])+")
_TYPE_NAME = re.compile(r"(?:[A-Z][a-z]+)+")
_NUMBER = re.compile(r"-?[0-9][0-9_.,-]*")
_LINE_END = re.compile(r"[\\,;:.)\]}]{0,9}[ \t]{0,200}(?:[\r\n#]|\Z)")
_LINE_START = re.compile(r"(?:^|\n)[-+]?[ \t]*(?:-[ \t]+)?[\"']?[\w./-]*\Z")
_FLAG = re.compile(r"(?:^|\s)--[\w-]*\Z")
_TRAILING = "\\,;:.)]}"


def _named_values(text: str) -> Iterator[Span]:
    position = 0
    while name := _NAMED.search(text, position):
        position = name.end()
        if not _assigns(text, name):
            continue
        if quoted := _QUOTED.match(text, position):
            span = quoted.span("v" if quoted["q"] else "w")
            position = quoted.end()
            hides = not _says_nothing(text[span[0] : span[1]])
        elif _is_expression(text, name) or not (run := _RUN.match(text, position)):
            continue
        else:
            span = position, position + len(run[0].rstrip(_TRAILING))
            position = run.end()
            hides = not _says_nothing(run[0]) and not _is_prose(text, name, span)
        if hides:
            yield span


def _assigns(text: str, name: re.Match[str]) -> bool:
    """Whether a value follows: after mere spaces only in SQL (PASSWORD 'x') and on a command line."""
    if not name["flag"]:
        return True
    return _FLAG.search(_before(text, name)) is not None or (name["strict"] is not None and text[name.end()] == "'")


def _before(text: str, name: re.Match[str]) -> str:
    return text[max(0, name.start() - 120) : name.start()]


def _is_tight(name: re.Match[str]) -> bool:
    """Whether it is name=value without spaces, as in environments, queries and calls."""
    return bool(name["sign"] == "=" and not name["before"] and not name["after"])


def _is_expression(text: str, name: re.Match[str]) -> bool:
    """Whether code, an address or a YAML sign follows the name, not a value as it stands."""
    position, tight = name.end(), _is_tight(name)
    if _TEMPLATE.match(text, position):
        return True
    if tight and name[0].isupper():  # an environment: any character may be part of the value
        return False
    return bool(_EXPRESSION.match(text, position) or (not tight and _NOT_A_SCALAR.match(text, position)))


def _says_nothing(value: str) -> bool:
    return bool(_PLACEHOLDER.fullmatch(value) or _NOT_A_VALUE.fullmatch(value) or _is_hidden(value))


def _is_prose(text: str, name: re.Match[str], span: Span) -> bool:
    """Whether a bare word or number is more likely said about the secret than the secret itself."""
    value, sign = text[span[0] : span[1]], name["sign"]
    strict, ends_line = name["strict"] is not None, _LINE_END.match(text, span[1]) is not None
    if _NUMBER.fullmatch(value):
        return not (strict and ends_line)
    if not _WORD.fullmatch(value) or (sign is None and not name["flag"]):
        return False
    if _is_tight(name):
        return False
    if SECRET_NAME.search(value):  # self.password = raw_password
        return True
    starts_line = sign == ":" and _LINE_START.search(_before(text, name)) is not None
    return not (ends_line and (strict or (starts_line and not _TYPE_NAME.fullmatch(value))))
