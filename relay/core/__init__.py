"""Values in, values out: no I/O, no clock, no randomness. The clock and ids are arguments."""
