"""What a token costs by sequence length, in seconds of model time and in money."""

from __future__ import annotations

from locant_dashboards.queries import RANGE, RELEASE, Queries, divided
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics

HOURLY_PRICE = "hourly_price"
"""The board's variable that holds the price of one accelerator hour."""
_SECONDS_PER_HOUR = 3_600

FORMULA = (
    "Time that sequences of this length spent in forward passes ÷ their tokens, times all pass time ÷ the time all "
    "sequences spent in passes (that is, a pass of 8 rows is paid for once and shared by 8)."
)
"""The words of `seconds_per_token_by_length`."""


def seconds_per_token_by_length(q: Queries) -> str:
    """Seconds of model time per token, by length bucket; see FORMULA.

    The histogram of time per token holds, for each row of a pass, all of the pass's time; summed over rows that counts
    a pass once per row, and the second factor takes that back.
    """
    by = (la.LENGTH_BUCKET,)
    waited = q.rate(metrics.TOKEN_DURATION, by, suffix="_sum")
    tokens = q.rate(metrics.TOKEN_DURATION, by, suffix="_count")
    passes = q.rate(metrics.FORWARD_DURATION, suffix="_sum")
    all_waited = q.rate(metrics.TOKEN_DURATION, suffix="_sum")
    return f"{divided(waited, tokens)} * on () group_left () ({divided(passes, all_waited)})"


def seconds_per_thousand_tokens(q: Queries) -> str:
    """Seconds of model time per 1,000 tokens, by length bucket."""
    return f"1000 * {seconds_per_token_by_length(q)}"


def price_per_million_tokens(q: Queries) -> str:
    """Money per million tokens, by length bucket, at the price of an hour that the board's variable holds."""
    return f"1e6 * ${HOURLY_PRICE} / {_SECONDS_PER_HOUR} * {seconds_per_token_by_length(q)}"


def seconds_per_thousand_sequences(q: Queries) -> str:
    """Seconds of model time per 1,000 sequences that began, by release: pass time over rows of prefill and encode."""
    began = q.increase(metrics.SEQUENCES, RELEASE, {la.PHASE: "~prefill|encode"}, window=RANGE)
    spent = q.increase(metrics.FORWARD_DURATION, RELEASE, window=RANGE, suffix="_sum")
    return f"1000 * {divided(spent, began)}"
