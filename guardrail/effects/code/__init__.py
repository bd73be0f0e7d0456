"""Programs that run code: shells are entered, Python is interpreted, other languages are searched for paths."""
