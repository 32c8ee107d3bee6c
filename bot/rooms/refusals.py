"""What a room refused, counted, and told in the log without a line for each."""

import logging
from collections import Counter

logger = logging.getLogger(__name__)


class Refusals(Counter[str]):
    """How often something was refused, by reason."""

    def note(self, reason: str) -> None:
        """Count one more; the first is logged, and then each doubling, so that a flood is no flood of lines."""
        self[reason] += 1
        if self[reason].bit_count() == 1:
            logger.warning("%d refused so far, reason: %s", self[reason], reason)
