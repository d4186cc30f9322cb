"""What is asked: one function for each check, from a subject to an outcome with its places.

A question that the text cannot answer says so; it never passes on partial knowledge.
"""
