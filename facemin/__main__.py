"""`python -m facemin` is the command `facemin`."""

from facemin.cli import main

main()
