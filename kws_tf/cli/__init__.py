"""Command lines: arguments in, a library call, a printed table out."""
