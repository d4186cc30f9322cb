"""The checklist: one function a check, what they look at, and how what they found is said."""
