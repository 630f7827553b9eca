"""Attacks on pseudonyms and on the secret behind them (rows T5a, T5b, T6): NumPy on embeddings, torch to train."""
