"""TokenForge: deploy, serve and benchmark large language models across runtime engines."""

__version__ = "0.1.0"
