"""The only intervals and tests of the project, on data frames of outcomes; nothing here knows suites or methods."""
