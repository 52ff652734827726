"""How the store of artifacts answers. Reads what is not there, and nothing else."""

import http.client
import re
import time
from urllib.parse import urlsplit

from shared.artifacts.settings import S3Settings
from shared.artifacts.signing import Signer
from shared.domain import clock_reading
from shared.domain.condition import Bucket, Clock
from shared.domain.errors import Unavailable

_TIMEOUT_SECONDS = 3.0
# Artifacts are below this, and none has such a name.
_NOTHING = "tasks/there-is-nothing-here"
_LINK_SECONDS = 60
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_READ_BYTES = 4096


def look(settings: S3Settings) -> tuple[Bucket, Clock | None]:
    """How it answers to its key, and its clock; Unavailable with what went wrong, in a word."""
    before = time.time()
    signer = Signer(settings.endpoint, settings.region, settings.access_key, settings.secret_key)
    url = urlsplit(signer.url("GET", f"/{settings.bucket}/{_NOTHING}", before, _LINK_SECONDS))
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{url.path}?{url.query}")
        answer = connection.getresponse()
        said = _CODE.search(answer.read(_READ_BYTES).decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(type(error).__name__) from None
    finally:
        connection.close()
    bucket = Bucket(settings.bucket, answer.status, said[1] if said else "")
    return bucket, clock_reading.from_date("the artifact store", answer.headers["Date"], before, time.time())
