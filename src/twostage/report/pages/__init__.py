"""The report's pages: overview, claims, side by side, the transition law to play with.

Each module gathers what its page says, as plain values; the template of the same name says how it looks. Nothing of
the results, figures or claims imports anything here.
"""
