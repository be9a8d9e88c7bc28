"""How many edges, and what else, a load takes."""
