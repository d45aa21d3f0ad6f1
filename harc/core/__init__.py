"""What everything stands on: errors, files, the layout of a results tree, provenance, fingerprints."""
