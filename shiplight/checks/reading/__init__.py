"""Read the subject of the checks: a Dockerfile, its context, its shell commands, its image.

This package has the names of public images and package managers (`data/*.toml`) and the patterns of
secrets. It makes no judgements.
"""
