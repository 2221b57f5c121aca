"""The line of the log that ties replies to their deliveries: from here on the delivery's id stands in every line."""

from itertools import groupby

from loguru import logger

from syncd.model.collected import Stored

MOST_IN_A_LINE = 20


def log_taken_in(system: str, stored: Stored) -> Stored:
    """Log what was put into the outbox, a line for each ticket; call it once that is committed. Returns `stored`.

    `deliveries` and `replies` stand in the same order: the n-th delivery came of the n-th reply. The line of the
    attempt has the delivery, the reply, and the id that the API gave the communication.
    """
    for link_id, group in groupby(stored.taken_in, key=lambda one: one.link_id):
        of_link = list(group)
        for begin in range(0, len(of_link), MOST_IN_A_LINE):
            some = of_link[begin : begin + MOST_IN_A_LINE]
            logger.bind(
                system=system,
                link=link_id,
                ticket=some[0].ticket,
                deliveries=[one.delivery_id for one in some],
                replies=[one.reply_id for one in some],
            ).info("replies taken in")
    return stored
