"""XNNPACK's kernels find the operators of the file that they compute."""

import pytest

from edgekit.targets.tflite.kernels import align


@pytest.mark.parametrize(
    ("operators", "kernels", "expected"),
    [
        (["CONV_2D", "ADD"], ["Convolution (NHWC, F32) IGEMM", "Add (ND)"], [0, 1]),
        (["ADD", "MUL"], ["Add (ND)", "Clamp (NC)", "Multiply (ND)"], [0, 0, 1]),
        (["PAD", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"], ["Convolution", "Fully Connected (NC, F32) GEMM"], [1, 3]),
        (["CONV_2D", "CONV_2D"], ["Fully Connected", "Convolution"], [0, 1]),
        (["RESHAPE", "RESHAPE"], ["Static Reshape (NC)"], [0]),
        (["LOGISTIC", "SOFTMAX"], ["Sigmoid (NC)", "Softmax (NC)"], [0, 1]),
        (["HARD_SWISH", "LEAKY_RELU"], ["HardSwish (NC)", "Leaky ReLU (NC)"], [0, 1]),
        (["MEAN"], ["Mean (ND) Reduce2", "Clamp", "Copy"], [0, 0, 0]),
        ([], [], []),
    ],
)
def test_kernels_go_to_the_operators_of_their_kind(operators, kernels, expected):
    assert align(operators, kernels) == expected


def test_a_kernel_of_an_unknown_name_goes_where_there_is_room():
    assert align(["CONV_2D", "ROUND", "ADD"], ["Convolution", "Nearbyint", "Add (ND)"]) == [0, 1, 2]
