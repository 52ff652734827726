"""The few meanings an error can have. The web edge maps each class to one status, once."""


class FacteurError(Exception):
    """Base of every expected error.

    The message is shown to the caller: it says what is wrong and what to do, and never repeats
    input, headers, SQL or the text of a foreign exception.
    """


class Malformed(FacteurError):
    """The input cannot be parsed. Permanent."""


class Rejected(FacteurError):
    """The input is understood and wrong for ever. Permanent."""


class Unauthenticated(FacteurError):
    """No credential, or one that is not known. Unknown and wrong look the same."""


class Forbidden(FacteurError):
    """The caller is known and may not do this."""


class NotFound(FacteurError):
    """There is no such thing. Only for reads and writes over HTTP by id, never for an event."""


class Gone(FacteurError):
    """It was there, or might have been, and is away for ever: nobody should try again."""


class Conflict(FacteurError):
    """The same key was used before with another body."""


class Unsupported(FacteurError):
    """The body is encoded in a way that the function does not read."""


class TooLarge(FacteurError):
    """The body is larger than the function reads."""


class Unavailable(FacteurError):
    """Something this function needs is away for now: try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(Unavailable):
    """Too much at once: try again after `retry_after` seconds."""


class InFlight(Unavailable):
    """Another request with the same key is being worked on: try again for its answer."""
