"""The data of the checks, and how a maintainer makes it anew."""
