"""Attacks that need the target at run time; attacks with fixed wording live in the data as wrapped rows."""
