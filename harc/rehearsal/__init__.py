"""Rehearsals: a profile's whole run on stand-ins made on the spot, before anybody pays for the real one."""
