"""Commands of a person: protect, verify, secrets, cloaks, and a provider asked."""
