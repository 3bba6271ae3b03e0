# SPDX-License-Identifier: Apache-2.0
"""A long life: two accounts and a group over simulated years. See `__main__.py`."""
