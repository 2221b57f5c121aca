"""syncd keeps the communication threads of a CRM in step with the tickets of external ticketing systems."""

__version__ = "0.1.0"
