"""How many are connected, now and before: summed over the edges of all regions."""
