"""Probes: what of an embedding a decision needs, and the templates that it is taken with."""
