"""Report results in a terminal, as tables in a lesson, and as SARIF."""
