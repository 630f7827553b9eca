"""Provider keys: the file, its manifest and signature, and the default key."""
