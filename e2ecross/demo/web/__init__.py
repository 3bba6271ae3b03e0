# SPDX-License-Identifier: Apache-2.0
"""The page of the demo: real phones that anybody may type into, and a back end that attacks."""
