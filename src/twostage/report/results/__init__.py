"""The measurements of a run as tables, read from the files of earlier stages, with the statistics to judge them."""
