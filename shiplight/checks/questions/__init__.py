"""The checks: one function each, from a subject to an outcome with its places.

If the text cannot decide a check, the outcome says so; no check passes on partial knowledge.
"""
