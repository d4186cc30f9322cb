"""How the answers are reported: in a terminal, as tables in a lesson, as SARIF."""
