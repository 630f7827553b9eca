"""Attacks on Adaptive Hybrid Masking."""
