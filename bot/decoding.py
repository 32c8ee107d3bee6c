"""Decoding for many sources on few threads: a thread per source would spend more time on waking up than on decoding."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import av
from av import VideoFrame

from bot.decoder_threads import better_thread, join_a_thread, leave_the_thread

MOST_LATE_SECONDS = 0.25
"""How long a frame may wait to be decoded; if one waits longer, decoding does not keep up with the sources."""

MOST_UNDECODED = 64
"""How many jobs of one source may wait, however fast they come."""

Decode = Callable[[], list[VideoFrame]]


class Decoding:
    """Decodes the frames of one source in order, on a thread that it shares with others.

    `shown` is called on the event loop with each wanted picture and its time in ms. A frame that cannot be decoded sets `failed`.
    While the source is `behind`, callers should submit nothing.
    """

    def __init__(self, shown: Callable[[VideoFrame, int], None]) -> None:
        self.failed = False
        self._shown = shown
        self._submitted = self._done = 0  # each is written by one thread at a time
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._thread = join_a_thread()

    @property
    def behind(self) -> bool:
        """Whether frames have waited too long or too many are waiting, so that new ones should be left out and counted."""
        return self._thread.late_seconds > MOST_LATE_SECONDS or self._submitted - self._done >= MOST_UNDECODED

    def submit(self, decode: Decode, wanted_ms: int | None) -> None:
        """Have frames decoded, and their pictures shown with the time `wanted_ms` unless that is None."""
        if not self._closed:
            if self._submitted == self._done:  # it may only change threads once its earlier jobs are done
                self._thread = better_thread(self._thread)
            self._submitted += 1
            self._thread.put(partial(self._decode, decode, wanted_ms))

    async def close(self) -> None:
        """Decode nothing more; returns once the thread has finished with this source."""
        if self._closed:
            return
        self._closed = True
        over = asyncio.Event()
        self._thread.put(partial(self._on_the_loop, over.set))
        leave_the_thread(self._thread)
        await over.wait()

    def _decode(self, decode: Decode, wanted_ms: int | None) -> None:
        """Decode one job, on the thread."""
        try:
            if self._closed:
                return
            for picture in decode():
                if wanted_ms is not None:
                    self._on_the_loop(self._show, picture, wanted_ms)
        except (av.FFmpegError, ValueError, MemoryError):  # the thread must go on, because it decodes for others too
            self.failed = True
        finally:
            self._done += 1

    def _on_the_loop(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed and nobody waits for the result any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _show(self, picture: VideoFrame, at_ms: int) -> None:
        if not self._closed:
            self._shown(picture, at_ms)
