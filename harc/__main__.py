"""`python -m harc`: the `harc` command."""

from harc.cli import main

main()
