"""`python -m strokewise`, which is what torchrun starts."""

from strokewise.cli import main

main()
