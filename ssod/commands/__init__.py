"""Subcommands of `ssod`, a module each: `add_parser(subparsers)` and `run(args)`, thin over `ssod.apis`."""
