"""From a reply to a communication, pure."""
