"""Reading ticketing systems: the adapter interface, the HTTP that adapters are given, and how they are found."""
