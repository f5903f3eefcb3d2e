"""Which pictures an export uses, and what is wrong with them."""
