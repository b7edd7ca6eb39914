"""Steps of a fixed size: captured once, then replayed over the same tensors. Needs torch.

On a GPU a step is a CUDA graph, so the host's work for it is one call. Elsewhere the same padded step is computed anew
each time: slower than an exact one, but the same code, so it can be tested on any machine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tokenforge.runtimes.paged.attention import PrefillStep

PROMPTS = 16
"""Prompts that a captured prefill holds at most."""
PREFILL_TOKENS = (64, 128, 256, 512, 768, 1024, 1536, 2048)
"""Its sizes; beyond the last one the device is busy for longer than the host needs to launch the kernels one by one."""

Ints = np.ndarray[Any, np.dtype[np.int64]]


class Captured:
    """A computation over fixed tensors. `pool` is that of another one, whose memory it may share."""

    def __init__(self, compute: Callable[[], torch.Tensor], *, pool: Any = None) -> None:
        self._compute = compute
        self._graph: Any = None
        if not torch.cuda.is_available():
            return
        with torch.no_grad():
            compute()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
                self._out = compute()

    @property
    def pool(self) -> Any:
        """Its memory, for the next one."""
        return None if self._graph is None else self._graph.pool()

    def replay(self) -> torch.Tensor:
        """The result over what the tensors hold now; good until the next replay."""
        if self._graph is None:
            return self._compute()
        self._graph.replay()
        return self._out


class PaddedPrefill:
    """The tensors of a prefill of `tokens` packed tokens: whole prompts or their beginnings, and padding behind them.

    The padding is a prompt of its own whose keys and values go to the first place of page 0.
    """

    def __init__(self, tokens: int, *, device: torch.device) -> None:
        self.tokens = tokens
        self._packed = torch.zeros((3, tokens), dtype=torch.int64, device=device)
        self._ends = torch.zeros(PROMPTS + 2, dtype=torch.int32, device=device)
        self._ends[1:] = tokens
        self.last = torch.zeros(PROMPTS, dtype=torch.int64, device=device)

    @property
    def ids(self) -> torch.Tensor:
        """[tokens]."""
        return self._packed[0]

    @property
    def positions(self) -> torch.Tensor:
        """[tokens]."""
        return self._packed[1]

    def step(self) -> PrefillStep:
        """What attention needs."""
        return PrefillStep(
            places=self._packed[2],
            query_ends=self._ends,
            key_ends=self._ends,
            most_queries=self.tokens,
            most_keys=self.tokens,
            read=None,
        )

    def fill(self, packed: Ints, ends: Ints, last: Ints, *, sent: Callable[[Any], torch.Tensor]) -> None:
        """Put in ids, positions and places [3, tokens], the end of each prompt, and where its last token is."""
        whole = np.zeros((3, self.tokens), dtype=np.int64)
        whole[:, : packed.shape[1]] = packed
        all_ends = np.full(PROMPTS + 2, self.tokens, dtype=np.int32)
        all_ends[0] = 0
        all_ends[1 : 1 + len(ends)] = ends
        all_last = np.zeros(PROMPTS, dtype=np.int64)
        all_last[: len(last)] = last
        self._packed.copy_(sent(whole))
        self._ends.copy_(sent(all_ends))
        self.last.copy_(sent(all_last))
