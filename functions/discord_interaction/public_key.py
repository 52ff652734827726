"""Public keys of Ed25519 (RFC 8032): whether 32 bytes are one at all, told before anything was signed with it."""

_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME


def is_public_key(raw: bytes) -> bool:
    """Whether the bytes are a point of the curve in its one form, and not of small order.

    Under a key of small order signatures can be made up that fit any message.
    """
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    if len(raw) != 32 or y >= _PRIME:
        return False
    x_squared = _x_squared(y)
    if pow(x_squared, (_PRIME - 1) // 2, _PRIME) not in (0, 1):
        return False
    for _ in range(3):
        y = _doubled(y)
    return y != 1


def _x_squared(y: int) -> int:
    return (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME


def _doubled(y: int) -> int:
    """The y of twice the point; its x is not needed, but only the square of it."""
    x_squared = _x_squared(y)
    return (y * y + x_squared) * pow(1 - _D * x_squared * y * y, -1, _PRIME) % _PRIME
