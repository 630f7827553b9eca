"""Evaluation of recognisers: pairs, judges at measured thresholds, verification."""
