"""Recording rules: what dashboards of others, autoscalers and people ask often, computed once."""

from tokenforge.telemetry.boards.alert_model import Recording
from tokenforge.telemetry.boards.promql import quantile, rate
from tokenforge.telemetry.catalogue import serving

_WINDOW = "5m"
_FAILED = 'outcome!~"ok|cancelled|invalid_input|invalid_request|not_found|too_large"'
_BY = ("deployment",)

ERROR_RATIO = "deployment:tokenforge_errors:ratio5m"
TTFT_P99 = "deployment:tokenforge_time_to_first_token_seconds:p99_5m"

RECORDINGS = (
    Recording(
        record="deployment:tokenforge_requests:rate5m",
        expr=rate(serving.REQUESTS, by=_BY, window=_WINDOW),
    ),
    Recording(
        record=ERROR_RATIO,
        expr=f"({rate(serving.REQUESTS, by=_BY, where=_FAILED, window=_WINDOW)} or "
        f"0 * {rate(serving.REQUESTS, by=_BY, window=_WINDOW)}) / {rate(serving.REQUESTS, by=_BY, window=_WINDOW)}",
    ),
    Recording(
        record="deployment:tokenforge_generation_tokens:rate5m",
        expr=rate(serving.GENERATION_TOKENS, by=_BY, window=_WINDOW),
    ),
    *(
        Recording(
            record=f"deployment:tokenforge_{name}_seconds:p{share * 100:g}_5m",
            expr=quantile(share, metric, by=_BY, window=_WINDOW),
        )
        for name, metric in (
            ("time_to_first_token", serving.TIME_TO_FIRST_TOKEN),
            ("time_per_output_token", serving.TIME_PER_OUTPUT_TOKEN),
            ("request_duration", serving.DURATION),
        )
        for share in (0.5, 0.99)
    ),
)
