"""What the console puts in front of its screens: help, questions, plans."""
