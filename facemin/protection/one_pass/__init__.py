"""One-pass protection: a decoder that paints an image for a target, its file, and the one that ships."""
