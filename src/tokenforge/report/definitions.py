"""What each word on the page means. One place, so page and short form cannot differ."""

DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "TTFT",
        "Time to first token: first token minus the time the request was due by the plan. A request that had to wait "
        "because the server was behind carries that wait. In a closed loop there is no plan of times, so it is taken "
        "from the send.",
    ),
    ("TPOT", "Time per output token: (last token minus first token) / (output tokens minus 1), one value per request."),
    (
        "ITL",
        "Inter-token latency: each gap between two chunks of an answer, spread over the tokens of the later chunk; one "
        "value per token. Its tail shows stalls that TPOT averages away.",
    ),
    ("E2E", "End to end: the end of the answer minus the time the request was due (in a closed loop, the send)."),
    ("Lag", "How late the generator sent: send minus due time. It is the client's fault, and part of TTFT."),
    (
        "Output tokens/s",
        "Output tokens that reached the client inside the steady window, per second: from the end of the warm-up until "
        "load stops arriving. A chunk across an edge counts by the part inside.",
    ),
    ("Goodput", "Requests per second that ended well and met every limit of the SLO."),
    ("Within SLO", "Good requests as a share of all that were attempted; an error is not good."),
    (
        "Interval",
        "Made again and again in the same way, 95 of 100 such ranges hold the true value. It asks how trials differ, "
        "not requests: requests of one trial wait behind each other and are no independent witnesses. With fewer than "
        "3 trials it can only ask how stretches of a trial differ, and says so.",
    ),
    (
        "Effective requests",
        "Neighbours that queue behind each other say the same thing. This is how many requests that know nothing of "
        "each other would say as much, judged by TTFT.",
    ),
    (
        "Settled",
        "Whether a trial, after its warm-up, was one state: TTFT and output tokens/s of the second half like those of "
        "the first, as far as the trials can tell. If not, a longer run would have given another number.",
    ),
    (
        "p99 not estimable",
        "A quantile is shown only when the requests are worth enough independent ones to bound it with 99 % "
        "confidence: 459 for p99, 90 for p95, 44 for p90. It has an interval only when each trial is worth that many.",
    ),
    (
        "Ratio",
        "Mean over paired trials (same prompts, same arrivals) of the logarithm of one value over the other. Equal "
        "within 5 %: its 90 % interval lies inside that band.",
    ),
    (
        "Hung up as planned",
        "The workload asked for users who leave. Such a request is no error and no attempt: it has no latency, and is "
        "not in the shares of errors and of the SLO. The tokens that reached it count. One that was answered before "
        "its user would have left is a request like any other.",
    ),
    ("Failed requests", "They are counted, and have no latency: read latencies of a run with many errors with care."),
)
