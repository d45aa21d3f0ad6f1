"""Models that may call tools: how they are asked, which calls they make, and what those mean beside their words.

No step of the workflow imports this package.
"""
