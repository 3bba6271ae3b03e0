# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""What does not pass over stores with stripes, and why; see `store_kinds.py`."""

from collections.abc import Mapping
from typing import Final

__all__ = ["OVER_STRIPES"]

OVER_STRIPES: Final[Mapping[str, tuple[str, ...]]] = {
    "a store with stripes has no groups, and its device does not announce them": (
        "tests/client/test_account.py::test_what_a_companion_shows_comes_into_the_list",
        "tests/client/test_announcing.py::test_a_device_that_is_linked_says_it_at_once",
        "tests/client/test_announcing.py::test_an_update_of_the_app_leads_to_a_list",
        "tests/client/test_announcing.py::test_another_device_has_it_noted_by_device_1",
        "tests/client/test_announcing.py::test_the_first_list_has_what_the_policy_says",
        "tests/client/test_consent.py::test_consent_is_between_two_accounts",
        "tests/client/test_group_depositing.py",
        "tests/client/test_group_envelopes.py",
        "tests/client/test_group_signals.py",
        "tests/client/test_group_timeline.py",
        "tests/client/test_group_upkeep.py",
        "tests/client/test_groups.py",
        "tests/client/test_groups_failing.py",
        "tests/client/test_pairing.py::test_the_list_says_what_the_new_device_shows",
        "tests/device/test_group_announcing.py",
        "tests/device/test_group_changes.py",
        "tests/device/test_group_controls.py",
        "tests/device/test_group_deposits.py",
        "tests/device/test_group_planning.py",
        "tests/device/test_group_raw.py",
        "tests/device/test_group_reading.py",
        "tests/device/test_group_receiving.py",
        "tests/device/test_group_retrying.py",
        "tests/device/test_group_sending.py",
        "tests/device/test_group_taking.py",
        "tests/device/test_health_groups.py",
        "tests/properties/test_group_sending.py",
        "tests/state/test_changes.py::test_it_is_counted",
        "tests/state/test_changes.py::test_what_is_a_change_and_what_is_none",
        "tests/state/test_sender_keys.py",
    ),
    "a store with stripes has no witness": (
        "tests/client/test_device_link.py::test_a_witness_that_cannot_be_read_may_be_tried_again",
        "tests/client/test_device_link.py::test_a_witness_that_has_known_an_earlier_device_is_gone_on_from",
        "tests/client/test_device_link.py::test_it_works_with_what_it_was_given",
        "tests/client/test_promised_messages.py::test_a_locked_witness_makes_no_promise_vanish",
        "tests/client/test_restored_client.py::test_nothing_is_deposited_before_the_witness_knows",
        "tests/device/test_batch.py::test_the_witness_hears_of_it_once",
        "tests/device/test_batch.py::test_when_the_witness_fails_what_was_read_is_released_and_what_was_sent_is_not",
        "tests/device/test_identity_backup.py::test_an_imported_device_goes_on_where_the_witness_is",
        "tests/device/test_joining.py::test_a_witness_that_cannot_be_read_keeps_it_from_being_written",
        "tests/device/test_joining.py::test_all_is_written_or_nothing",
        "tests/device/test_joining.py::test_there_are_as_many_writes",
        "tests/device/test_restoring.py::test_a_second_restore_is_done_when_something_newer_was_seen",
        "tests/device/test_restoring.py::test_a_second_time_with_nothing_in_between_does_nothing",
        "tests/device/test_restoring.py::test_a_witness_that_cannot_be_told_leaves_a_restored_store",
        "tests/device/test_restoring.py::test_the_epoch_goes_on_above_store_and_witness",
        "tests/properties/test_restore_machine.py::TestRestores::runTest",
        "tests/state/test_witness.py",
    ),
    "its backlogs have times, and no turns": (
        "tests/client/test_one_recipient_fails.py::test_a_damaged_turn_hides_no_others",
        "tests/client/test_one_recipient_fails.py::test_what_waits_is_listed_although_a_row_is_damaged[turn]",
        "tests/state/test_outbox.py::test_a_backlog_that_waits_for_the_user_makes_no_walk_longer",
        "tests/state/test_outbox.py::test_a_backlog_that_was_tried_in_vain_goes_behind_the_others",
        "tests/state/test_outbox.py::test_a_turn_of_no_backlog_is_a_damaged_store",
        "tests/state/test_outbox.py::test_what_is_next_is_found_among_many_backlogs_with_few_calls",
        "tests/state/test_outbox_repair.py::test_backlogs_without_their_turns_come_behind_the_others",
    ),
    "what was handed over is told by holds, not by which worker has put it there": (
        "tests/device/test_collecting.py::test_damaged_rows_of_the_inbox_hide_none_behind_them_and_the_first_is_told",
        "tests/state/test_inbox.py::test_what_this_device_has_put_there_comes_unflagged_once",
        "tests/state/test_inbox.py::test_what_was_rolled_back_lets_nothing_of_another_process_come_unflagged",
    ),
    "other own devices get no copies of what is sent, nor hear of what follows from it": (
        "tests/device/test_conversations.py::test_whatever_is_decided_and_written_where_all_devices_come_to_the_same",
    ),
    "nothing is in flight outside of a backlog": (
        "tests/client/test_send_many.py::test_no_message_overtakes_what_was_left_in_flight",
        "tests/client/test_send_many.py::test_what_has_left_is_forgotten_although_the_next_commit_fails",
        "tests/client/test_send_many.py::test_what_is_lost_in_flight_with_its_row_is_told",
        "tests/client/test_send_many.py::test_what_was_left_in_flight_is_listed_and_goes_with_the_next_call",
        "tests/device/test_in_flight.py::test_a_damaged_row_in_flight_is_told_and_keeps_no_other",
    ),
    "a store with stripes is restored stripe by stripe": (
        "tests/device/test_restoring.py::TestProgress::test_each_contact_is_told_with_how_many_there_are",
        "tests/device/test_restoring.py::TestProgress::test_what_it_raises_ends_the_call_and_nothing_has_changed",
    ),
    "who looks for what other workers have left goes through the inbox of a stripe": (
        "tests/client/test_costs.py::test_what_a_call_costs_does_not_depend_on_what_is_not_confirmed[begin to hand over]",
    ),
    "of envelopes that a killed worker took in whoever looks asks, and tells what is there": (
        "tests/client/test_incoming.py::test_numbers_that_the_back_end_has_no_more_are_forgotten",
        "tests/client/test_incoming.py::test_what_stands_behind_a_full_page_may_still_be_there",
    ),
    "what the app has confirmed is acknowledged without the store, whatever has become of that": (
        "tests/client/test_put_back_while_open.py::test_what_was_taken_in_before_is_not_acknowledged",
        "tests/client/test_put_back_while_open.py::test_what_was_taken_in_before_is_not_acknowledged_in_the_middle_of_a_batch",
    ),
}
