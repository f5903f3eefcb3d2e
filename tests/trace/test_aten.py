"""The registry of rules: one per ATen operator."""

import pytest

from edgekit.trace.aten import RULES
from edgekit.trace.aten.context import rule


def test_a_second_rule_for_an_operator_names_both_modules():
    def mine(c, out, x):
        return x

    for name, owner in (("linear", "linear"), ("relu", "pointwise"), ("mul", "pointwise"), ("sum", "reductions")):
        before = RULES[name]
        words = rf"aten operator '{name}' is registered by edgekit\.trace\.aten\.{owner} and by {__name__}"
        with pytest.raises(ValueError, match=words):
            rule(name)(mine)
        assert RULES[name] is before


def test_rules_are_added_by_the_decorator_alone():
    with pytest.raises(TypeError):
        RULES["relu"] = None
