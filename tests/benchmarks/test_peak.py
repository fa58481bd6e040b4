"""Operations are counted as a person would count them on paper."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
from benchmarks import peak
from openvino import opset13 as op


def test_a_convolution_costs_two_for_each_weight_and_each_pixel_that_it_gives():
    assert peak.flops(peak.chain(8, 16, 3, depth=1)) == 2 * 3 * 16 * 16 * 8 * 8 * 9
    assert peak.flops(peak.chain(8, 16, 3, depth=5)) == 5 * peak.flops(peak.chain(8, 16, 3, depth=1))


def test_a_strided_convolution_costs_by_what_it_gives():
    image = op.parameter([1, 4, 32, 32], np.float32)
    weights = op.constant(np.ones((6, 4, 3, 3), np.float32))
    model = ov.Model([op.convolution(image, weights, [2, 2], [1, 1], [1, 1], [1, 1])], [image], "strided")
    assert peak.flops(model) == 2 * 6 * 16 * 16 * 4 * 9


def test_a_grouped_convolution_costs_by_the_channels_of_its_group():
    image = op.parameter([1, 8, 16, 16], np.float32)
    weights = op.constant(np.ones((8, 1, 1, 3, 3), np.float32))
    model = ov.Model([op.group_convolution(image, weights, [1, 1], [1, 1], [1, 1], [1, 1])], [image], "grouped")
    assert peak.flops(model) == 2 * 8 * 16 * 16 * 9


@pytest.mark.parametrize("transposed", [False, True])
def test_a_matrix_product_costs_two_for_each_pair_of_numbers(transposed: bool):
    left = op.parameter([2, 7, 5] if transposed else [2, 5, 7], np.float32)
    right = op.parameter([2, 7, 3], np.float32)
    model = ov.Model([op.matmul(left, right, transposed, False)], [left, right], "product")
    assert peak.flops(model) == 2 * 2 * 5 * 7 * 3
