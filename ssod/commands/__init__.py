"""Commands of `ssod`, a module each: a function of the command line, thin over `ssod.apis`."""
