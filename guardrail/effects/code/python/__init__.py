"""Python code: walked with abstract values, so that what a snippet would do becomes effects; nothing runs."""
