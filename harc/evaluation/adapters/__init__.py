"""An adapter that is handed on: checked without its base, merged, described by a card, sent to the hub.

No step of the workflow imports this package; it needs no torch but for merging.
"""
