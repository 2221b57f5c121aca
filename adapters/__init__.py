"""One module per kind of ticketing system; each has a config class and an adapter class."""
