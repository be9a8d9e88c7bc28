"""What the console's colours are called: apart from them, so that a command line starts fast."""

OWN = ("jetrelay", "jetrelay-light", "jetrelay-contrast")
FEW_COLORS = ("ansi-dark", "ansi-light")  # the terminal's own 16 colours
NAMES = (*OWN, *FEW_COLORS)
