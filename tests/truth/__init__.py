"""Whether the console tells the truth while a world is broken on purpose."""
