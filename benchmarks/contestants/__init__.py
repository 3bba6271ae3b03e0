# SPDX-License-Identifier: Apache-2.0
"""Who is measured: a module for each, with makers of its operations."""
