# SPDX-License-Identifier: Apache-2.0
"""Before something is sent into a group: keys are fetched, sessions started, the own key given.

Rules:
- A plan is followed as far as it holds. Where members or devices come and go meanwhile, another one
  is made, a few times.
- Who cannot be reached stops nobody else.
"""

from collections.abc import Iterator
from typing import Final

from e2ecross.address import Address
from e2ecross.client.attempts import Failure
from e2ecross.client.link import Link
from e2ecross.client.planning import prepare
from e2ecross.device.bundles import BundleNews
from e2ecross.device.composing import Draft
from e2ecross.device.group_granting import MAX_GRANTS, grant_keys
from e2ecross.device.group_planning import GroupPlan, plan_group
from e2ecross.device.group_standing import Audience
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import BackendError
from e2ecross.wire.group import GroupId

__all__ = ["GroupPlanning"]

_MAX_PLANS: Final = 3
_MAX_QUESTIONS: Final = 6
"""How often the back end is asked for one plan: for lists, for keys, for what came since."""


class GroupPlanning:
    """What is asked of the back end for one thing that is sent into a group.

    Attributes:
        asked: what it was asked.
        news: what lists and bundles have brought, by device.
        failure: why it was given up to reach the back end.
    """

    def __init__(self, link: Link, group: GroupId, failure: Failure | None = None) -> None:
        """Nothing is asked yet.

        Args:
            link: to the back end.
            group: where it is to be sent.
            failure: why the back end cannot be reached, if it cannot.
        """
        self.asked = KeysAsked()
        self.news: dict[Address, BundleNews] = {}
        self.failure = failure
        self._link = link
        self._group = group

    def plans(
        self, audience: Audience = Audience.MEMBERS, draft: Draft | None = None
    ) -> Iterator[GroupPlan]:
        """Make plans, one after another, until the caller has sent by one; three at most.

        All that can be given the key have it when one is yielded.

        Args:
            audience: for whom it is.
            draft: what the user sends; None: it is nothing of the user's.

        Raises:
            LossyContent: see `plan_group`.
            ContentRefused: likewise.
            NotInGroup: the own account is not in the group.
            GroupRefused: nothing can be sent into it.
            BackendError: it did not come to an end; members and devices keep changing.
            NotRegistered: the back end does not know this device.
            StoreError: the store cannot be read or written.
        """
        for _ in range(_MAX_PLANS):
            plan = self._plan(audience, draft)
            if self._grant(plan):
                yield plan
        raise BackendError(f"the members of {self._group} keep changing: try again")

    def ask(self, needed: KeysNeeded) -> None:
        """Fetch lists and keys, and start sessions; who cannot be asked for counts as asked for."""
        if self.failure is not None:
            self.asked.note_failure(needed, self.failure)
        else:
            news, self.failure = prepare(self._link, [needed], self.asked)
            self.news |= news

    def _plan(self, audience: Audience, draft: Draft | None) -> GroupPlan:
        for _ in range(_MAX_QUESTIONS):
            plan = plan_group(self._link.context, self._group, self.asked, audience, draft)
            if plan.needed is None:
                return plan
            self.ask(plan.needed)
        raise BackendError(f"the devices of {self._group} keep changing: try again")

    def _grant(self, plan: GroupPlan) -> bool:
        context, leftovers = self._link.context, self._link.leftovers
        return all(
            grant_keys(
                context, leftovers, plan, plan.lacking[start : start + MAX_GRANTS], self.asked
            )
            for start in range(0, len(plan.lacking), MAX_GRANTS)
        )
