"""Makeup: an adversarial style painted on each photo by a network of its own (after DFPP)."""
