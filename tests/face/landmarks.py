"""Landmarks of crops that are known."""

import numpy as np

from facemin.face import SIDE, TEMPLATE
from facemin.face.sample import Doubles


def landmarks(scale: float, degrees: float, x: float, y: float) -> Doubles:
    """Points whose crop has `scale` photo pixels per crop pixel, is turned by `degrees`, centred at (x, y)."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points: Doubles = (scale * (TEMPLATE - (SIDE - 1) / 2) @ turn.T + np.array([x, y]))[None]
    return points
