"""The body of one PUT, which can be written once and tells how far it got.

It knows aiohttp's payload hook and nothing of deliveries. aiohttp 3.14 keeps a request's headers back until the first
byte of the body (StreamWriter.write_headers only buffers them), so until `before_body` has returned not one byte of
the request has left.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload

from syncd.model.delivery import Reached


class NotWritten(Exception):
    """The connection was of no use before the first byte; the request did not leave."""


class OncePayload(Payload):
    """Bytes that go out once, after `before_body` has returned.

    It is not a BytesPayload because that one warns about bodies over a mebibyte, which long mails make.

    `reached` is WRITING from the moment the transport may have been handed a byte. `refusal` is the exception that
    `before_body` raised, if it did. `sent_bytes` counts headers and body as handed to the transport.
    """

    def __init__(
        self, value: bytes, before_body: Callable[[], Awaitable[None]], on_writing: Callable[[], None]
    ) -> None:
        super().__init__(value, content_type="application/json")
        self._body = value
        self._before_body = before_body
        self._on_writing = on_writing
        self._abandoned = False
        self._begun = False
        self._ended = asyncio.Event()
        self.reached = Reached.NOTHING
        self.refusal: Exception | None = None
        self.sent_bytes = 0

    @property
    def size(self) -> int:
        """Return the Content-Length."""
        return len(self._body)

    @property
    def consumed(self) -> bool:
        """Tell aiohttp, once writing began, that this body cannot be sent again."""
        return self._begun

    @property
    def autoclose(self) -> bool:
        """Tell aiohttp that there is nothing to close."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text; aiohttp asks for it in no path that a PUT takes."""
        return self._body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body as `write_with_length` does."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Await `before_body`, then write; raise NotWritten instead if the connection is of no use any more."""
        if self._begun:
            raise RuntimeError("the body of a PUT is written once")
        self._begun = True
        self.reached = Reached.CONNECTED
        try:
            self._require_fresh(writer)
            try:
                await self._before_body()
            except Exception as refusal:
                self.refusal = refusal
                raise
            self._require_fresh(writer)
            # From the check to the first byte there is no await: nothing can come between.
            self._on_writing()
            self.reached = Reached.WRITING
            try:
                await writer.write(self._body[:content_length])
            finally:
                self.sent_bytes = writer.output_size
        finally:
            self._ended.set()

    def _require_fresh(self, writer: AbstractStreamWriter) -> None:
        """Raise NotWritten unless the connection is open and the server has said nothing yet.

        A server may close a connection, or push an answer (a 408 for idling, the second answer to an earlier
        request), while `before_body` is awaited. aiohttp would take such an answer for the answer to this request.
        """
        if self._abandoned:
            raise NotWritten("the attempt ended before the body was written")
        if not isinstance(writer, StreamWriter):
            raise NotWritten("the connection cannot be looked at")
        if writer.transport is None or writer.transport.is_closing():
            raise NotWritten("the server had closed the connection")
        if isinstance(writer.protocol, ResponseHandler) and writer.protocol.should_close:
            raise NotWritten("the server spoke before it was asked")

    async def end(self) -> None:
        """Let nothing be written from now on, and wait until `before_body` is not running any more."""
        self._abandoned = True
        if self._begun:
            await self._ended.wait()
