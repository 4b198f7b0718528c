"""The report's pages: overview, claims, side by side, and the interactive transition law.

Each module gathers the content of its page as plain values; the template of the same name gives it its look. No module
of the results, figures or claims imports anything from here.
"""
