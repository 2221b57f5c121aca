"""From the outbox to the Open API: one PUT and its evidence, what follows from it, and when."""
