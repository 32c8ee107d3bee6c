"""Who may be read: by what the room's settings say, and what each person says of themselves. Without a yes, nobody."""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

from bot.settings import Settings

NO_VISITORS = "this room reads only its own simulated students, because its operator has stated no legal basis"


def _new_ticket() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class ConsentPolicy:
    """How a yes comes about.

    `asked` needs one for each person: their own, or their room id among `ids`; with `everyone` silence is one. Whoever says no
    is not read in either. Where `reads_visitors` is false, only those are who bring the `ticket`, whatever anybody says.
    """

    mode: Literal["asked", "everyone"] = "asked"
    ids: frozenset[str] = frozenset()
    reads_visitors: bool = True
    ticket: SecretStr = field(default_factory=_new_ticket)

    def granted(self, participant_id: str, said: bool | None, where: str) -> str | None:
        """Where a participant's yes comes from, or None if they are not to be read; `said` is None where they said nothing."""
        if said is not None:
            return where if said else None
        if participant_id in self.ids:
            return "settings"
        return "everyone" if self.mode == "everyone" else None

    def admits(self, ticket: str) -> bool:
        """Whether somebody who brings this ticket, or an empty one, may be read at all."""
        return self.reads_visitors or hmac.compare_digest(ticket.encode(errors="surrogateescape"), _plain(self.ticket))


def _plain(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode()


def consent_policy(settings: Settings, *, reads_visitors: bool = True) -> ConsentPolicy:
    """The policy of the settings, with a new ticket."""
    return ConsentPolicy(settings.consent, frozenset(settings.consented_ids), reads_visitors)


def said_in_words(text: str) -> bool:
    """Whether somebody says `yes`; any other word is a no."""
    return text.strip().lower() == "yes"


def said_in_metadata(metadata: object) -> bool | None:
    """What the metadata of a participant say by their field `consent`: true, or nothing; any other value is a no."""
    if not isinstance(metadata, dict) or "consent" not in metadata:
        return None
    return metadata["consent"] is True
