"""Adversarial watermark (after DPG): its network, and the training of it."""
