"""PMT and MR-PMT: protection by optimisation towards a key's features."""
