"""Load a model and choose its batching: our paged steps, or Transformers' own continuous batching.

`engine_args.transformers.batching` says which; unsaid, a GPU gets ours where the model fits and every option is one
of ours, and a CPU gets Transformers' own. Imported late and in a thread: torch takes seconds.
"""

import logging
from typing import Any

from tokenforge.domain.errors import EngineError
from tokenforge.domain.runtime import Accelerator
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.paged.batching import PagedBatching
from tokenforge.runtimes.paged.engine import make_engine, why_not_paged
from tokenforge.runtimes.paged.plan import PAGED_ARGS, plan_paged
from tokenforge.runtimes.refusals import refuse_unknown_args
from tokenforge.runtimes.transformers_batching import Batching, engine_options
from tokenforge.runtimes.transformers_loading import load_model, read_eos_ids, read_shape, read_window
from tokenforge.runtimes.transformers_plan import OWN_ARGS
from tokenforge.runtimes.transformers_scoring import Scoring

_log = logging.getLogger(__name__)
_CHOICES = ("paged", "transformers")


def start_batching(spec: RuntimeSpec) -> Batching | PagedBatching:
    """Load the weights and get ready to serve; blocks. Raises EngineError with what to change."""
    refuse_unknown_args(spec.engine_args, engine_options() | OWN_ARGS | PAGED_ARGS, engine="transformers")
    if spec.tensor_parallel != 1:
        raise EngineError(f"tensor_parallel is {spec.tensor_parallel}, Transformers runs on one device here")
    said = spec.engine_args.get("batching")
    if said is not None and said not in _CHOICES:
        raise EngineError(f"engine_args.transformers.batching is {said!r}", hint=f"write {' or '.join(_CHOICES)}")
    model = load_model(spec)
    is_ours = said == "paged" or (said is None and _suits(spec))
    if not is_ours:
        return Batching.start(spec, model)
    if (why := why_not_paged(model)) is None:
        return _start_paged(spec, model)
    if said == "paged":
        raise EngineError(f"batching: paged can't run this model: {why}", hint="write batching: transformers")
    _log.warning("Transformers' own batching serves this model: %s", why)
    return Batching.start(spec, model)


def _suits(spec: RuntimeSpec) -> bool:
    return spec.accelerator is Accelerator.CUDA and set(spec.engine_args) <= PAGED_ARGS


def _start_paged(spec: RuntimeSpec, model: Any) -> PagedBatching:
    on_gpu = spec.accelerator is Accelerator.CUDA
    plan = plan_paged(spec.engine_args, max_model_len=read_window(spec, model), on_gpu=on_gpu)
    scoring = Scoring(model)
    engine = make_engine(model, plan, shape=read_shape(model))
    return PagedBatching(
        spec,
        model=model,
        engine=engine,
        scoring=scoring,
        vocab_size=int(model.config.get_text_config().vocab_size),
        eos_ids=read_eos_ids(model),
    )
