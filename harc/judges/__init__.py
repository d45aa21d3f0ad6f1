"""Judges: from a prompt and a response to a label, a score and the version of the rule that gave them."""
