"""The data of the checks, and how a maintainer refreshes it."""
