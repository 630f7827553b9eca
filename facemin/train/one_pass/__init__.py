"""Training of one-pass protectors: a decoder that paints an image for any target of a key's space."""
