"""Doing again what an audit can otherwise only check by its hash: a sample of cheap parts, or everything elsewhere."""
