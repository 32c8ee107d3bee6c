"""Events as webhooks: CloudEvents in the structured mode of their HTTP binding, signed as Standard Webhooks specifies.

Sources: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md and
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from pydantic import SecretStr

from bot.errors import SettingsWrong
from bot.forward import NotNow, Refused
from pipeline.events import Event

ANSWER_SECONDS = 20.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0

_LATER = {408, 425, 429}
"""Client errors that, like every server error, mean that the event may be taken later."""


class Webhook:
    """Posts each event to a URL, in a session that the caller closes.

    `webhook-id` is the same for every try of an event, and no two events share one, even across rooms: receivers use it to drop
    duplicates.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        key: bytes | None,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._url = url
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=answer_seconds)
        self._clock = clock

    async def send(self, event: Event) -> None:
        """Return on a 2xx status; raises bot.forward.NotNow on 5xx, 408, 425, 429 or no answer, and Refused on any other."""
        body = event.to_json().encode()
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=self._headers(event, body),
                timeout=self._timeout,
                allow_redirects=False,  # a signed event is only for the URL that was given
            ) as response:
                self._judge(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotNow(type(error).__name__) from None

    def _headers(self, event: Event, body: bytes) -> dict[str, str]:
        headers = {
            "content-type": "application/cloudevents+json; charset=UTF-8",
            "user-agent": "classmood",
            "webhook-id": message_id(event),
            "webhook-timestamp": str(int(self._clock())),
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, headers["webhook-id"], headers["webhook-timestamp"], body)
        return headers

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        if 200 <= response.status < 300:
            return
        why = f"it answers with status {response.status}"
        if response.status >= 500 or response.status in _LATER:
            after_seconds = _seconds(response.headers.get("retry-after", ""), self._clock())
            raise NotNow(why, after_seconds, perhaps_the_event=response.status == HTTPStatus.INTERNAL_SERVER_ERROR)
        raise Refused(why)


def message_id(event: Event) -> str:
    """A name for an event that is unique across rooms."""
    return "msg_" + hashlib.sha256(f"{event.source} {event.id}".encode()).hexdigest()[:32]


def signature(key: bytes, message: str, timestamp: str, body: bytes) -> str:
    """The value of the header `webhook-signature`: HMAC-SHA256 over `ID.TIMESTAMP.BODY`, in base64."""
    signed = hmac.new(key, f"{message}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def signing_key(secret: SecretStr) -> bytes | None:
    """The key in a secret of the form whsec_BASE64, or None for an empty secret; raises SettingsWrong for any other form."""
    text = secret.get_secret_value()
    if not text:
        return None
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    # the bounds are the specification's
    if not 24 <= len(key) <= 64 or not text.startswith("whsec_"):
        raise SettingsWrong("CLASSMOOD_WEBHOOK_SECRET must be whsec_ and 24 to 64 bytes in base64")
    return key


def _seconds(retry_after: str, now: float) -> float:
    """The header Retry-After as seconds from now, or 0 if it is missing or unreadable (RFC 9110, section 10.2.3)."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after[:9]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        seconds = parsedate_to_datetime(retry_after).timestamp() - now
    except (ValueError, OverflowError):  # OverflowError: an offset that is too large
        return 0.0
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_SECONDS)
