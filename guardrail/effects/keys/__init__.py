"""Edits as changes of keys: the content of a config file before and after, compared value by value."""
