"""Images without classes: how a configuration says so, and what their one class is called in stores and results."""

NO_CLASSES = "none"  # data.classes, in place of a number of classes
EVERYTHING = "all images"  # the one class
