"""Runtimes: one small contract over vLLM, Transformers, a simulator, and any OpenAI-compatible server."""
