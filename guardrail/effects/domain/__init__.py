"""What the analysis knows: abstract strings, streams, states, addresses, effects, a command about to run."""
