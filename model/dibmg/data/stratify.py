"""Spreading units evenly over parts, in every group that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_LEAST_SWAPS: Final = 4_000
_MOST_SWAPS: Final = 40_000
_SWAPS_PER_UNIT: Final = 40
"""Swaps that are tried: more change little, and 25,000 units still take seconds."""
_LEAST_GAIN: Final = 1e-9


@dataclass(frozen=True)
class Unit:
    """What stays together. Attributes: `weight`, how much of a quota it takes; `groups` it belongs to."""

    weight: int
    groups: tuple[str, ...]


def stratify(units: Sequence[Unit], quotas: Sequence[int], random: np.random.Generator) -> list[int]:
    """Assign units to parts: quotas hold, and each group is spread as the quotas are.

    Iterative stratification deals out the rarest group first, each of its units to the part that still
    wants most of that group. What is dealt last finds few places left: so pairs are then swapped at
    random wherever that makes the groups more even.

    Args:
        units: In an order that does not depend on their file.
        quotas: Total weight of each part; their sum is that of the units.
        random: Breaks ties and draws pairs.

    Returns:
        The part of each unit.

    Source: Sechidis, Tsoumakas, Vlahavas, On the stratification of multi-label data, ECML PKDD 2011.
    """
    if not units:
        return []
    parts = _deal(units, quotas, random)
    _swap(units, quotas, parts, random)
    return parts


def _deal(units: Sequence[Unit], quotas: Sequence[int], random: np.random.Generator) -> list[int]:
    total, members = sum(quotas), defaultdict(list)
    for place in random.permutation(len(units)):
        for group in units[place].groups or ("",):
            members[group].append(int(place))
    wanted = {
        group: [sum(units[place].weight for place in places) * quota / total for quota in quotas]
        for group, places in members.items()
    }
    left = list(map(float, quotas))
    parts = [-1] * len(units)
    count = {group: len(places) for group, places in members.items()}
    while count:
        rarest = min(count, key=lambda group: (count[group], group))
        for place in members[rarest]:
            if parts[place] >= 0:
                continue
            unit = units[place]
            open_parts = [part for part, room in enumerate(left) if room > 0] or [int(np.argmax(left))]
            tie = random.permutation(len(quotas))
            part = max(open_parts, key=lambda p: (wanted[rarest][p], left[p], tie[p]))
            parts[place] = part
            left[part] -= unit.weight
            for group in unit.groups or ("",):
                wanted[group][part] -= unit.weight
                count[group] = count.get(group, 0) - 1
        count = {group: number for group, number in count.items() if number > 0 and group != rarest}
    return parts


def _swap(
    units: Sequence[Unit], quotas: Sequence[int], parts: list[int], random: np.random.Generator
) -> None:
    """Swap units of equal weight while that lowers the sum of (found - expected)² / expected."""
    expected = _expected(units, quotas)
    found = {group: [0.0] * len(quotas) for group in expected}
    members: list[list[int]] = [[] for _ in quotas]
    for place, part in enumerate(parts):
        members[part].append(place)
        for group in units[place].groups:
            found[group][part] += units[place].weight
    filled = [part for part, inside in enumerate(members) if inside]
    if len(filled) < 2:
        return
    tries = min(max(_SWAPS_PER_UNIT * len(units), _LEAST_SWAPS), _MOST_SWAPS)
    for first, second, one, other in random.random((tries, 4)):
        here = filled[int(first * len(filled))]
        there = [part for part in filled if part != here][int(second * (len(filled) - 1))]
        left, right = int(one * len(members[here])), int(other * len(members[there]))
        leaving, coming = units[members[here][left]], units[members[there][right]]
        if leaving.weight != coming.weight:
            continue
        # in the order of the groups, not of sets: the same sum in every process
        moved = {group: -leaving.weight for group in leaving.groups if group not in coming.groups}
        moved |= {group: coming.weight for group in coming.groups if group not in leaving.groups}
        # (f + w - e)² - (f - e)² = w (2 (f - e) + w), for what comes here and what goes there
        change = sum(
            weight * (2 * (found[group][here] - expected[group][here]) + weight) / expected[group][here]
            - weight * (2 * (found[group][there] - expected[group][there]) - weight) / expected[group][there]
            for group, weight in moved.items()
        )
        if change < -_LEAST_GAIN:
            for group, weight in moved.items():
                found[group][here] += weight
                found[group][there] -= weight
            members[here][left], members[there][right] = members[there][right], members[here][left]
            parts[members[here][left]], parts[members[there][right]] = here, there


def _expected(units: Sequence[Unit], quotas: Sequence[int]) -> dict[str, list[float]]:
    """Weight of each group that each part should have; a hair above 0 where a part is empty."""
    totals: dict[str, int] = defaultdict(int)
    for unit in units:
        for group in unit.groups:
            totals[group] += unit.weight
    shares = [max(quota, 1e-9) / sum(quotas) for quota in quotas]
    return {group: [total * share for share in shares] for group, total in totals.items()}
