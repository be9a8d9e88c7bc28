"""What the console's commands do, by what they are about. Each module gives handlers by name."""
