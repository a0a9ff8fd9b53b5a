import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from results.gap import cover_gap


@given(
    gains=st.lists(st.floats(0.0, 0.3), min_size=4, max_size=4),
    gaps=st.lists(st.floats(0.3, 0.5), min_size=4, max_size=4),
)
def test_the_ends_of_the_gap_interval_are_where_the_paired_test_just_rejects(
    gains: list[float], gaps: list[float]
) -> None:
    ratio, low, high = cover_gap(np.array(gains), np.array(gaps))
    assume(not math.isnan(low))
    assert low <= ratio + 1e-9
    assert ratio <= high + 1e-9
    for end in (low, high):
        residuals = np.array(gains) - end * np.array(gaps)
        assume(np.ptp(residuals) > 1e-3)
        assert stats.ttest_1samp(residuals, 0).pvalue == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("gap", [0.0, 0.0199, -0.0199])
def test_close_anchors_leave_the_gap_empty(gap: float) -> None:
    assert all(math.isnan(value) for value in cover_gap(np.full(3, 0.1), np.full(3, gap)))
