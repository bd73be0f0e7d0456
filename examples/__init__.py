"""Examples that run; each checks itself."""
