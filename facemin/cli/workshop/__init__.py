"""Commands of the workshop: recognisers, training, experiments, audits."""
