"""Traces: the way of a request through gateway, worker and engine as spans, sent by OTLP over HTTP."""
