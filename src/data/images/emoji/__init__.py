"""Emoji drawn by three artists: the pictures that ship with the project. README.md has sources and licences."""
