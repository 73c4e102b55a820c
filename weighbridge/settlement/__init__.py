"""Exact settlement: from a contract and what is known of its units to availability, money and a statement.

Seconds are integers, shares and amounts exact fractions, money decimal once it is rounded. `settle.settle` settles one
period, `draft.draft` drafts its statement from the ledger; the rest are their parts.
"""
