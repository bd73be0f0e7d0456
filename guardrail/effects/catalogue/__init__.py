"""What each command's words are: the specs, as data, and how a command line is told apart by them."""
