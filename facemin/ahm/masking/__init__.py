"""Frequency masking: channels, their selection, and the mask as a protector."""
