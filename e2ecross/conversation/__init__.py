# SPDX-License-Identifier: Apache-2.0
"""Pure functions of contents: what another app shows of one, what becomes of a conversation."""
