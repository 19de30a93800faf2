"""A package of its own: some wheels bring a `tests` too, which would come before a folder without this file."""
