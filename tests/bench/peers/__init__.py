"""The edge beside other servers: the same load, on the same machine, in one run."""
