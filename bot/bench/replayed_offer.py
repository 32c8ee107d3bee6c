"""The offers of a room of replayed students, line for line as Janus 1.1.2 writes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.bench.packets import ABS_SEND_TIME, MID, RTX, VP8, RtpStream

_EVERYWHERE = (
    "rtcp-mux",
    f"rtpmap:{VP8} VP8/90000",
    *(f"rtcp-fb:{VP8} {kind}" for kind in ("ccm fir", "nack", "nack pli", "goog-remb", "transport-cc")),
    f"extmap:{ABS_SEND_TIME} http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    f"extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid",
    "extmap:12 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    "extmap:13 urn:3gpp:video-orientation",
    f"rtpmap:{RTX} rtx/90000",
    f"fmtp:{RTX} apt={VP8}",
)


@dataclass(frozen=True, slots=True)
class Section:
    """One m-line: its mid, and the stream that it carries at present, or None."""

    mid: str
    stream: RtpStream | None


def offer_of(sections: Sequence[Section], transport_lines: Sequence[str], session_id: int, version: int) -> str:
    """The SDP that offers these sections over one transport."""
    lines = [
        "v=0",
        f"o=- {session_id} {version} IN IP4 127.0.0.1",
        "s=VideoRoom",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(each.mid for each in sections)}",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS *",
    ]
    for section in sections:
        lines += [f"m=video 9 UDP/TLS/RTP/SAVPF {VP8} {RTX}", "c=IN IP4 127.0.0.1"]
        attributes = ("sendonly" if section.stream else "inactive", f"mid:{section.mid}", *transport_lines, *_EVERYWHERE)
        lines += [f"a={each}" for each in (*attributes, *_sources(section))]
    return "\r\n".join(lines) + "\r\n"


def _sources(section: Section) -> list[str]:
    if section.stream is None:
        return []
    ssrcs = (section.stream.ssrc, section.stream.rtx_ssrc)
    return [
        f"ssrc-group:FID {ssrcs[0]} {ssrcs[1]}",
        f"msid:janus janus{section.mid}",
        *(f"ssrc:{each} cname:janus" for each in ssrcs),
    ]
