"""What is read: the Dockerfile under check, its context, its shell commands, its image if built.

Knows what public images and package managers are called (`data/*.toml`), and what looks like a
secret. Asks nothing and judges nothing.
"""
