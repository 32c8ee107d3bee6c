"""Counts what a room refuses, and logs it without a line for each."""

import logging
from collections import Counter

logger = logging.getLogger(__name__)


class Refusals(Counter[str]):
    """How often something was refused, by reason."""

    def note(self, reason: str) -> None:
        """Count one more; only the first and then each doubling is logged, so that a flood does not flood the log."""
        self[reason] += 1
        if self[reason].bit_count() == 1:
            logger.warning("%d refused so far, reason: %s", self[reason], reason)
