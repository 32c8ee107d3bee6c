"""libvpx as a browser runs it in a call: without delay, one picture in and one frame out."""

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

REALTIME = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}


def vp8_encoder(
    size: tuple[int, int], frames_per_second: Fraction, bits_per_second: int, keyframe_every: int
) -> VideoCodecContext:
    """An encoder of pictures of `size` (width, height), with a keyframe at least every `keyframe_every` frames."""
    context = av.CodecContext.create("libvpx", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = 1 / frames_per_second, frames_per_second
    context.bit_rate = bits_per_second
    # libvpx's threads wait for each other by spinning: on two busy cores, two threads took ten times as long as one
    context.thread_count = 1
    context.gop_size = keyframe_every
    context.options = dict(REALTIME)
    return context
