"""A user's own model on prompts: files of their own and the shipped suites, answered, judged and scored by category."""
