"""The server half of recognition: uploads to embeddings, scores to decisions."""
