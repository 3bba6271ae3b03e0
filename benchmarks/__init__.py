# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: what an operation costs here, as primitives alone, and in other libraries."""
