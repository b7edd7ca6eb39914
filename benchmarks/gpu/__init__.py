"""Runtimes side by side on a GPU: throughput, latency, roofline and energy at several concurrencies, in one command."""
