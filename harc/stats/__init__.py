"""The intervals and tests of the project."""
