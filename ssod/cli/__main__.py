"""`python -m ssod.cli`: the command `ssod` of this folder."""

from . import main

main()
