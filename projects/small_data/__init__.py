"""How the small-data recipe was found: its levers, one by one, on validation images."""
