"""Three doors that an agent may use, each with the same guard on it."""
