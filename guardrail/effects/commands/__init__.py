"""What each family of commands does with its words: the transfer functions behind the specs."""
