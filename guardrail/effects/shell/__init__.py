"""The abstract interpreter of shell texts: words, state, builtins, control flow, and which command a name means."""
