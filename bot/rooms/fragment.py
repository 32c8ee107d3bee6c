"""The SDP fragment in a trickle ICE request (RFC 8840, section 9)."""

from dataclasses import dataclass

from aiortc import RTCIceCandidate

from bot.rooms.offer import Offer, OfferMalformed, read_candidates


@dataclass(frozen=True, slots=True)
class Fragment:
    """More candidates of a publisher; `complete` if no more will follow."""

    candidates: tuple[RTCIceCandidate, ...]
    complete: bool
    mids: tuple[str, ...]
    ice_ufrags: tuple[str, ...]
    ice_pwds: tuple[str, ...]

    def restarts(self, offer: Offer) -> bool:
        """Whether its ICE credentials differ from the offer's, which means that it asks for an ICE restart."""
        return not (set(self.ice_ufrags) <= {offer.ice_ufrag} and set(self.ice_pwds) <= {offer.ice_pwd})


def read_fragment(text: str) -> Fragment:
    """Parse the body of a PATCH request; raises OfferMalformed with a reason in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or any(line[:2] not in ("a=", "m=") for line in lines):
        raise OfferMalformed("the body is no SDP fragment of a= and m= lines")
    return Fragment(
        candidates=tuple(read_candidates(_values(lines, "candidate"))),
        complete="a=end-of-candidates" in lines,
        mids=tuple(_values(lines, "mid")),
        ice_ufrags=tuple(_values(lines, "ice-ufrag")),
        ice_pwds=tuple(_values(lines, "ice-pwd")),
    )


def _values(lines: list[str], attribute: str) -> list[str]:
    prefix = f"a={attribute}:"
    return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
