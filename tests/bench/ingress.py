"""A broker's ingress that takes everything at once and costs next to nothing: `python -m tests.bench.ingress PORT`."""

import asyncio
import sys

_TAKEN = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Ingress(asyncio.Protocol):
    """Answers each request when its body is complete."""

    def __init__(self) -> None:
        self._left = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._left += data
        while (end := self._left.find(b"\r\n\r\n")) >= 0:
            _, _, rest = self._left[:end].lower().partition(b"content-length:")
            whole = end + 4 + int(rest.partition(b"\r\n")[0] or 0)
            if len(self._left) < whole:
                return
            self._left = self._left[whole:]
            self._transport.write(_TAKEN)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Ingress, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
