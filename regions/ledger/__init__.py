"""The ledger: what clients did and got, written down, and judged afterwards."""
