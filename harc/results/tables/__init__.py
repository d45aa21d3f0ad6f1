"""Tables: a module each, or one for a few that share measurements; found by name through `harc.results.catalogue`."""
