"""The workflow's steps: each reads files of a results tree and writes others, with a sidecar."""
