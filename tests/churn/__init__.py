"""Ten thousands of users come and go over three regions while edges die: presence and counts
against the generator's own ledger.
"""
