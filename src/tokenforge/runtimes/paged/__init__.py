"""Our own batching of a Transformers model: paged keys and values, flash kernels, decode steps as CUDA graphs."""
