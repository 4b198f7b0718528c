"""Shapley values of a difference between plans, as weights of the plans' distances."""

import math


def weights_of(plans):
    """A list, one per player, of {plan: weight}: the change when this player is replaced, averaged over all orders in
    which the players are replaced one after the other.

    plans: {(is it replaced?, per player): plan}, for every combination. The values add up to the change from none
    replaced to all (Shapley 1953).

    >>> weights_of({(False, False): "kept", (True, False): "first", (False, True): "second", (True, True): "both"})[0]
    {'kept': -0.5, 'first': 0.5, 'second': -0.5, 'both': 0.5}
    """
    count = len(next(iter(plans)))
    found = []
    for player in range(count):
        weights = dict.fromkeys(plans.values(), 0.0)
        for replaced in plans:
            if not replaced[player]:
                others = sum(replaced)
                weight = 1 / (count * math.comb(count - 1, others))
                weights[plans[replaced]] -= weight
                weights[plans[(*replaced[:player], True, *replaced[player + 1 :])]] += weight
        found.append(weights)
    return found
