# SPDX-License-Identifier: Apache-2.0
"""Tests of the benchmarks: that they measure what they say. None asserts a timing."""
