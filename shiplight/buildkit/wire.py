"""Send gRPC messages on an HTTP/2 stream, many in one frame.

`grpclib` waits after every message, which is too slow for tens of thousands of small ones. Here the
bytes of a stream are written and read in large pieces. Only this file uses internals of `grpclib`.
"""

import struct
from collections.abc import AsyncIterator

from grpclib.encoding.base import CodecBase

BATCH = 256 << 10
_HEAD = struct.Struct(">BI")
MOST = 64 << 20  # bytes in one message: more is no message of BuildKit's


class Raw(CodecBase):
    """Passes messages on as bytes."""

    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        """Return the message."""
        return message

    def decode(self, data, message_type):
        """Return the message."""
        return bytes(data)


def framed(message: bytes) -> bytes:
    """Return a message with gRPC's five-byte prefix."""
    return _HEAD.pack(0, len(message)) + message


class Frames:
    """Both directions of a gRPC stream that `grpclib` opened."""

    def __init__(self, stream):
        self._grpc, self._stream = stream, stream._stream
        self._out, self._in, self._at = bytearray(), bytearray(), 0

    async def add(self, data: bytes) -> None:
        """Queue `data`, to be sent together with what follows."""
        self._out += data
        if len(self._out) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Send everything that is queued."""
        data, self._out = self._out, bytearray()
        if data:
            await self.send(data)

    async def send(self, data: bytes) -> None:
        """Send complete messages as bytes, as many in one write as the peer accepts."""
        if self._out:
            data, self._out = bytes(self._out) + data, bytearray()
        if not self._grpc._send_initial_metadata_done:
            await self._grpc.send_initial_metadata()
        stream, view = self._stream, memoryview(data)
        connection, at = stream._h2_connection, 0
        while at < len(view):
            await stream.connection.write_ready.wait()
            room = connection.local_flow_control_window(stream.id)
            if room <= 0:
                stream.window_updated.clear()
                await stream.window_updated.wait()
                continue
            end = min(len(view), at + room)
            while at < end:
                size = min(end - at, connection.max_outbound_frame_size)
                connection.send_data(stream.id, bytes(view[at : at + size]))
                at += size
            stream._transport.write(connection.data_to_send())

    def has_more(self) -> bool:
        """Return whether received bytes are still unread."""
        return self._at < len(self._in) or not self._stream.buffer._unacked.empty()

    async def received(self) -> AsyncIterator[bytes]:
        """Yield received messages until the other side ends the stream."""
        while True:
            while (message := self._next()) is not None:
                yield message
            if not await self._read():
                return

    def _next(self) -> bytes | None:
        if len(self._in) - self._at < _HEAD.size:
            return None
        packed, length = _HEAD.unpack_from(self._in, self._at)
        if packed or length > MOST:
            raise ValueError("not a gRPC message of BuildKit's")
        start = self._at + _HEAD.size
        if len(self._in) - start < length:
            return None
        self._at = start + length
        return bytes(self._in[start : self._at])

    async def _read(self) -> bool:
        """Read what has arrived; False at the end of the stream."""
        del self._in[: self._at]
        self._at = 0
        buffer, taken = self._stream.buffer, 0
        while True:
            if buffer._eof and buffer._unacked.empty():
                return taken > 0
            data, _, ack_size = await buffer._unacked.get()
            self._in += data
            taken += ack_size
            if buffer._unacked.empty() or not ack_size:
                break
        self._stream.connection.ack(self._stream.id, taken)
        return taken > 0
