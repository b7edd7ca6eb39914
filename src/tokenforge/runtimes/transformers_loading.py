"""Load a Transformers model and read what batching needs: its window, its shape, its end tokens. Needs torch."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from tokenforge.domain.errors import EngineError
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.transformers_plan import QUANTS, ModelShape

_DTYPES = {Quant.FP32: torch.float32, Quant.BF16: torch.bfloat16, Quant.FP16: torch.float16}


def load_model(spec: RuntimeSpec) -> Any:
    """The model on its device. Raises EngineError with the first line of the cause."""
    on_cpu = spec.accelerator is Accelerator.CPU
    if on_cpu:
        torch.set_num_threads(_threads(spec))
    can = QUANTS[spec.accelerator]
    if spec.quant is not None and spec.quant not in can:
        hint = f"it can: {', '.join(sorted(can))}"
        raise EngineError(f"Transformers on {spec.accelerator} cannot load quant {spec.quant}", hint=hint)
    dtype = _DTYPES[spec.quant] if spec.quant is not None else (torch.float32 if on_cpu else "auto")
    attention = spec.engine_args.get("attn_implementation", "sdpa")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            spec.model_path, dtype=dtype, attn_implementation=attention, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"Transformers did not load {spec.model_path}: {message}") from error
    return model.to("cpu" if on_cpu else "cuda").eval()


def _threads(spec: RuntimeSpec) -> int:
    value = spec.engine_args.get("torch_threads", 1)
    if not isinstance(value, int) or value < 1:
        raise EngineError(f"engine_args.transformers.torch_threads is {value!r}", hint="write 1 or more")
    return value


def read_window(spec: RuntimeSpec, model: Any) -> int:
    """Tokens of the longest sequence. Raises EngineError when more is asked than the model has."""
    own = int(model.config.get_text_config().max_position_embeddings)
    if spec.max_model_len is not None and spec.max_model_len > own:
        raise EngineError(f"max_model_len is {spec.max_model_len}, the model's window is {own}", hint="lower it")
    return spec.max_model_len or own


def read_shape(model: Any) -> ModelShape:
    """Sizes of its cache."""
    config = model.config.get_text_config()
    heads = int(config.num_attention_heads)
    return ModelShape(
        layers=int(config.num_hidden_layers),
        attention_heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        head_dim=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        value_bytes=int(model.dtype.itemsize),
    )


def read_eos_ids(model: Any) -> list[int]:
    """The tokens that end a text."""
    said = model.generation_config.eos_token_id
    said = model.config.get_text_config().eos_token_id if said is None else said
    if said is None:
        return []
    return [int(token) for token in said] if isinstance(said, list | tuple) else [int(said)]
