"""Experiments on cloaks: masks fitted for people, their photos cloaked, and what recognisers and attackers see."""
