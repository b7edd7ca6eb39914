"""Limits by name: MLPerf Inference's p99 limits of the time to first token and of each further token.

MLPerf bounds each of the two at p99; here one request must keep both, and 99 % must do so, which is a little stricter.
"""

from collections.abc import Mapping

from tokenforge.domain.workload import Slo

SLO_PRESETS: Mapping[str, Slo] = {
    "llama2-70b": Slo(ttft_ms=2000, tpot_ms=200),
    "llama2-70b-interactive": Slo(ttft_ms=450, tpot_ms=40),
    "llama3.1-8b": Slo(ttft_ms=2000, tpot_ms=100),
    "llama3.1-8b-interactive": Slo(ttft_ms=500, tpot_ms=30),
    "llama3.1-405b": Slo(ttft_ms=6000, tpot_ms=175),
    "llama3.1-405b-interactive": Slo(ttft_ms=4500, tpot_ms=80),
    "mixtral-8x7b": Slo(ttft_ms=2000, tpot_ms=200),
    "deepseek-r1": Slo(ttft_ms=2000, tpot_ms=80),
    "deepseek-r1-interactive": Slo(ttft_ms=1500, tpot_ms=15),
}
