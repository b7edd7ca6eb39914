"""The picture of `docs/concepts/uncertainty.md`: the same benchmark thirty times, on a queue whose true mean is known.

    PYTHONPATH=tests/unit python benchmarks/uncertainty/picture.py > docs/concepts/uncertainty.svg

Each line is the 95 % interval that one benchmark would print for its mean TTFT. Left as if its 10,000 requests were
independent, right by its five trials. The seed is fixed, so the picture is the same each time.
"""

import math

import numpy as np
from queue_samples import true_mean, waits

from tokenforge.analysis.intervals import Estimate, over_trials

SEED, REPEATS, TRIALS, REQUESTS, LOAD = 20, 30, 5, 2000, 0.8
LEFT, WIDTH, TOP, ROW = 34, 330, 66, 8
LOW, HIGH = 2.5, 6.5
INK, SOFT, HIT, MISS = "#16191d", "#5a626c", "#0068ad", "#c8510a"


def main() -> None:
    """Print the SVG."""
    runs = waits(SEED, rows=REPEATS * TRIALS, requests=REQUESTS, load=LOAD).reshape(REPEATS, TRIALS, REQUESTS)
    naive = [as_if_independent(run) for run in runs]
    honest = [over_trials(run.mean(axis=1).tolist()) for run in runs]
    height = TOP + ROW * REPEATS + 52
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="system-ui, sans-serif" '
        f'font-size="13" role="img" aria-label="Thirty intervals as if requests were independent: {hits(naive)} hold '
        f'the truth; by five trials: {hits(honest)} of 30">'
    )
    print(f'<rect width="760" height="{height}" fill="#fff"/>')
    print(f'<text x="12" y="24" font-weight="700" fill="{INK}">One benchmark, thirty times: its 95 % interval of mean')
    print("TTFT each time</text>")
    panel(naive, left=LEFT, title=f"as if requests were independent: {hits(naive)} of 30")
    panel(honest, left=LEFT + WIDTH + 50, title=f"by how five trials differ: {hits(honest)} of 30")
    print("</svg>")


def as_if_independent(run: np.ndarray) -> Estimate:
    """What most tools would print."""
    half = 1.96 * float(run.std()) / math.sqrt(run.size)
    return Estimate(value=float(run.mean()), low=float(run.mean()) - half, high=float(run.mean()) + half)


def hits(found: list[Estimate]) -> int:
    """How many hold the true mean."""
    return sum((one.low or 0) <= true_mean(LOAD) <= (one.high or 0) for one in found)


def panel(found: list[Estimate], *, left: int, title: str) -> None:
    """A row per interval, the truth as a line through all of them."""
    bottom = TOP + ROW * len(found)
    truth = place(true_mean(LOAD), left)
    print(f'<text x="{left}" y="{TOP - 16}" fill="{SOFT}" font-size="12">{title}</text>')
    print(f'<path d="M{truth:.1f} {TOP - 6}V{bottom + 6}" stroke="{INK}" stroke-dasharray="4 3"/>')
    for row, one in enumerate(found):
        holds = (one.low or 0) <= true_mean(LOAD) <= (one.high or 0)
        y = TOP + ROW * row + ROW / 2
        low, high = place(one.low or 0, left), place(one.high or 0, left)
        colour = HIT if holds else MISS
        print(f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="{colour}" stroke-width="2.4"/>')
    print(f'<text x="{truth:.1f}" y="{bottom + 22}" text-anchor="middle" fill="{INK}">true mean</text>')
    print(f'<text x="{left}" y="{bottom + 40}" fill="{MISS}" font-size="12">orange: misses it</text>')


def place(value: float, left: int) -> float:
    """Where a mean TTFT (in service times) lies across a panel."""
    return left + (min(max(value, LOW), HIGH) - LOW) / (HIGH - LOW) * WIDTH


if __name__ == "__main__":
    main()
