VERSION = "0.1.0"
"""The version of the whole project; pyproject.toml reads it from here."""
