"""Kinds of records beside those of `facemin bench run`: what each shows in a report and in documents."""
