"""`harc evaluate` on what users bring: their prompt files, models, adapters and servers.

No step of the workflow imports this package.
"""
