# SPDX-License-Identifier: Apache-2.0
"""Conversations with real Signal peers; see README.md."""
