"""How fast, beside whom: `make bench`."""
