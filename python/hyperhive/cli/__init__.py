"""The command line: it parses and prints; what happens is decided behind the operator's socket."""
