# SPDX-License-Identifier: Apache-2.0
"""The page of the demo in a real browser, with real phones behind it."""
