"""``python -m twostage.config`` prints config/README.md."""

from twostage.config.reference import reference

print(reference(), end="")
