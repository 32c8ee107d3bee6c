"""Who may be read, by the settings and by what each person says. Without a yes, nobody is read."""

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
    """What counts as consent.

    In mode `asked`, each person needs a yes: their own, or their room id among `ids`. In mode `everyone`, silence is a yes. A
    person's own no always prevails. If `reads_visitors` is false, only people who bring the `ticket` may be read at all.
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
        """Whether somebody who brings this ticket may be read at all; an empty text stands for none."""
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
    """What a participant's metadata say in the field `consent`: None without it, and any value but true is a no."""
    if not isinstance(metadata, dict) or "consent" not in metadata:
        return None
    return metadata["consent"] is True
