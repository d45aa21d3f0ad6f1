"""The Pareto front of points in a plane where less is better on both axes."""

from collections.abc import Mapping


def find_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Methods that no other beats in both coordinates (lower is better), from left to right."""
    kept = [
        name
        for name, (x, y) in points.items()
        if not any(u <= x and v <= y and (u, v) != (x, y) for u, v in points.values())
    ]
    return sorted(kept, key=lambda name: points[name])
