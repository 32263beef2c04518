"""Foreign clients against our broker, and our client against foreign brokers."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.behaviours")
