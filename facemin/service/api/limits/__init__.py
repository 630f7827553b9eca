"""Limits on requests: rates, sizes, memory and connections."""
