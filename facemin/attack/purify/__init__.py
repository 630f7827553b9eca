"""Purifiers: what an adversary does to a protected image before using it."""
