"""Training data: sources, splits, batches and loading."""
