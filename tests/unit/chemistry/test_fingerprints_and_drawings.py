from xml.etree import ElementTree

import numpy as np
import pytest

from unimol2_tasks.chemistry.drawing import draw_svg
from unimol2_tasks.chemistry.fingerprints import morgan_fingerprints
from unimol2_tasks.chemistry.rejection import Rejected


def test_fingerprints_tell_molecules_apart_but_not_their_spellings() -> None:
    fingerprints = morgan_fingerprints(["CCO", "OCC", "CCN"])
    assert fingerprints.shape == (3, 2048)
    assert set(np.unique(fingerprints)) == {0, 1}
    np.testing.assert_array_equal(fingerprints[0], fingerprints[1])
    assert (fingerprints[0] != fingerprints[2]).any()


def test_fingerprints_of_nonsense_are_refused() -> None:
    with pytest.raises(Rejected, match="syntax error"):
        morgan_fingerprints(["CCO", "not a molecule"])


def test_a_drawing_is_an_svg_element_without_a_header() -> None:
    drawing = draw_svg("c1ccccc1O", (120, 90))
    assert drawing.startswith("<svg")
    assert ElementTree.fromstring(drawing).get("width") == "120px"  # noqa: S314 - our own text
