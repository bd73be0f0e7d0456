"""What Guardrail promises, each with the tests that keep it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One sentence about behaviour.

    Args:
        id: `stage.name`.
        source: `design`, `issue 2`, `style`, a specification with its clause, or a recorded failure.
        behaviour: what holds, for somebody who has not read the test.
        tests: `tests/x.py::test_name`; a promise may need several.
        gap: what is not kept yet, or not tested, if anything.
    """

    id: str
    source: str
    behaviour: str
    tests: tuple[str, ...] = ()
    gap: str | None = None


PROMISES: tuple[Promise, ...] = (
    Promise(
        id="batch.order",
        source="issue 2",
        behaviour="`guardrail check --jsonl` answers every line with one Decision, in order, with the caller's id",
        tests=("tests/test_cli.py::test_a_batch_gives_one_decision_a_line_in_order",),
    ),
    Promise(
        id="batch.flush",
        source="issue 2",
        behaviour="each answer of a batch is written before the next line is needed",
        tests=(
            "tests/test_cli.py::test_each_line_is_answered_before_the_next_is_sent",
            "tests/test_cli.py::test_a_last_line_without_a_newline_is_judged_too",
        ),
    ),
    Promise(
        id="batch.fault_lines",
        source="issue 2",
        behaviour="a line that is no ToolCall is denied as `guardrail.fault`, and the run goes on",
        tests=(
            "tests/test_cli.py::test_a_line_that_is_no_tool_call_is_denied_as_a_fault_and_the_run_goes_on",
            "tests/test_cli.py::test_a_bad_line_keeps_its_id",
        ),
    ),
    Promise(
        id="cli.exit_codes",
        source="issue 2",
        behaviour="the exit code says 0 allow, 1 fault, 2 usage, 3 deny, 4 escalate",
        tests=(
            "tests/test_cli.py::test_once_exits_with_the_outcome",
            "tests/test_cli.py::test_wrong_usage_exits_with_2_and_one_sentence",
            "tests/test_house.py::test_a_wrong_verb_is_a_usage_error",
        ),
    ),
    Promise(
        id="cli.check_changes_nothing",
        source="issue 2",
        behaviour="`guardrail check` runs nothing and leaves nothing behind",
        tests=("tests/test_cli.py::test_check_runs_nothing_and_leaves_no_trail",),
    ),
    Promise(
        id="cli.explain",
        source="issue 2",
        behaviour="`guardrail explain` shows what each stage made of a call, for people and as JSON",
        tests=(
            "tests/test_cli.py::test_explain_shows_every_stage_for_people_and_as_json",
            "tests/test_cli.py::test_a_single_command_prints_what_a_person_can_read",
        ),
    ),
    Promise(
        id="cli.doctor",
        source="design",
        behaviour="`guardrail doctor` says what this host really enforces, and claims no more",
        tests=(
            "tests/test_cli.py::test_doctor_says_what_is_enforced_and_what_is_not",
            "tests/test_cli.py::test_doctor_finds_a_configuration_that_guards_nothing",
        ),
    ),
    Promise(
        id="cli.help",
        source="house",
        behaviour="every verb is listed and explains itself",
        tests=(
            "tests/test_house.py::test_every_verb_explains_itself",
            "tests/test_house.py::test_the_command_line_lists_every_verb",
        ),
    ),
    Promise(
        id="config.strict",
        source="design",
        behaviour="a configuration with anything unknown, ill-typed or impossible is refused, with the key that is wrong",
        tests=("tests/test_cli.py::test_a_configuration_with_anything_wrong_is_refused_with_what_and_where",),
    ),
    Promise(
        id="scorecard.held",
        source="issue 2",
        behaviour="the thirteen published evasions are denied or held for a person, in two wordings each",
        tests=("tests/test_scorecard.py::test_every_evasion_is_held",),
    ),
    Promise(
        id="scorecard.allowed",
        source="issue 2",
        behaviour="the seven published honest commands are allowed without a question",
        tests=(
            "tests/test_scorecard.py::test_every_honest_command_is_allowed_without_a_question",
            "tests/test_guard.py::test_honest_work_is_allowed",
        ),
    ),
    Promise(
        id="demo.proves_itself",
        source="issue 2",
        behaviour="the demonstration reaches every bad end state with the guard off and none with it on",
        tests=("tests/test_demo.py::test_the_demo_shows_every_end_state_off_none_on_and_a_flipped_bit_found",),
    ),
    Promise(
        id="assets.identity",
        source="design",
        behaviour="an asset is known by every name it has: symbolic link, hard link, glob, `..` and parent directory",
        tests=(
            "tests/test_assets.py::test_a_symbolic_link_to_the_asset_is_followed_for_a_read_and_not_for_a_delete",
            "tests/test_assets.py::test_a_hard_link_made_after_the_inventory_is_found_by_its_inode",
            "tests/test_assets.py::test_a_file_linked_into_an_asset_after_it_was_seen_elsewhere_is_found",
            "tests/test_assets.py::test_dot_dot_is_resolved_by_the_kernel_and_not_as_text",
            "tests/test_assets.py::test_moving_a_parent_away_is_an_effect_on_every_asset_in_it",
            "tests/test_assets.py::test_a_glob_that_can_name_an_asset_does",
            "tests/test_assets.py::test_a_located_path_is_where_the_kernel_says_it_is",
        ),
    ),
    Promise(
        id="assets.unknown_parts",
        source="design",
        behaviour="a path of which a part is unknown could be any asset, and a bound is never a guess",
        tests=(
            "tests/test_assets.py::test_a_path_of_which_a_part_is_unknown_could_be_any_asset",
            "tests/test_assets.py::test_a_glob_over_its_bound_is_unknown_and_not_cut",
            "tests/test_assets.py::test_paths_through_the_agents_own_process_are_not_resolved_in_the_guards",
        ),
    ),
    Promise(
        id="assets.neighbours",
        source="design",
        behaviour="what is beside an asset, or merely above it, is nobody's asset",
        tests=(
            "tests/test_assets.py::test_a_file_beside_the_asset_is_not_the_asset",
            "tests/test_assets.py::test_listing_a_parent_touches_no_asset",
            "tests/test_assets.py::test_a_working_directory_above_assets_is_no_mention_and_one_inside_is",
        ),
    ),
    Promise(
        id="assets.control_keys",
        source="study: shutdown switch",
        behaviour="an edit of a control file is judged by the keys that change, and an edit nobody can compute stays an edit",
        tests=(
            "tests/test_assets.py::test_an_edit_of_a_control_key_becomes_a_key_change",
            "tests/test_assets.py::test_an_edit_of_another_key_of_a_control_config_weakens_nothing",
            "tests/test_assets.py::test_an_edit_whose_result_cannot_be_computed_stays_an_edit",
            "tests/test_cli.py::test_a_harmless_key_of_a_control_config_may_change_and_the_switch_may_not",
        ),
    ),
    Promise(
        id="guard.unsanctioned",
        source="design",
        behaviour="an effect on an asset that no mandate covers is denied, and a mandate sanctions only what it says",
        tests=(
            "tests/test_guard.py::test_an_unsanctioned_copy_is_denied_and_the_agent_learns_nothing_from_it",
            "tests/test_guard.py::test_a_mandate_sanctions_what_it_says_and_nothing_else",
        ),
    ),
    Promise(
        id="guard.neutral",
        source="design",
        behaviour="what an agent reads names no rule, and no decision depends on whether it says it is watched",
        tests=(
            "tests/test_guard.py::test_an_unsanctioned_copy_is_denied_and_the_agent_learns_nothing_from_it",
            "tests/test_guard.py::test_the_same_call_gets_the_same_decision_whether_or_not_it_says_it_is_watched",
        ),
    ),
    Promise(
        id="guard.own_files",
        source="design",
        behaviour="the guard's own configuration, orders, keys and trail cannot be changed by a guarded call, mandate or not",
        tests=("tests/test_guard.py::test_the_guards_own_files_are_guarded_even_against_a_mandate",),
    ),
    Promise(
        id="guard.authored_code",
        source="design",
        behaviour="a script that the session wrote is not taken for a server, and a labelled session is held at what is opaque",
        tests=(
            "tests/test_guard.py::test_a_script_this_session_wrote_is_not_taken_for_a_server",
            "tests/test_guard.py::test_a_session_that_has_read_weights_is_held_at_what_cannot_be_seen_into",
            "tests/test_guard.py::test_reading_about_a_model_labels_nobody_and_a_link_of_such_a_name_does",
        ),
    ),
    Promise(
        id="guard.run_raises",
        source="design",
        behaviour="`Guard.run` runs an allowed call once and raises for every other, so an ignored answer releases nothing",
        tests=(
            "tests/test_guard.py::test_run_executes_an_allowed_call_once_and_records_intent_then_result",
            "tests/test_guard.py::test_run_raises_for_a_denial_and_for_an_escalation_and_runs_nothing",
            "tests/test_guard.py::test_only_allow_is_true",
        ),
    ),
    Promise(
        id="guard.async",
        source="design",
        behaviour="the asynchronous way in is the same flow, faults included",
        tests=(
            "tests/test_guard.py::test_the_asynchronous_path_is_the_same_flow",
            "tests/test_guard.py::test_a_fault_on_the_asynchronous_path_is_a_denial_too",
            "tests/test_guard.py::test_many_calls_at_once_each_get_their_own_answer",
        ),
    ),
    Promise(
        id="closed.engine",
        source="design",
        behaviour="an engine that is dead, slow, raising or babbling never releases a call",
        tests=(
            "tests/test_guard.py::test_whatever_an_engine_does_wrong_is_a_denial",
            "tests/test_guard.py::test_a_decision_over_its_time_is_a_fault",
        ),
    ),
    Promise(
        id="closed.stage",
        source="design",
        behaviour="a failure in any stage, and a closed guard, is a denial",
        tests=(
            "tests/test_guard.py::test_a_stage_that_raises_is_a_denial",
            "tests/test_guard.py::test_a_closed_guard_denies",
        ),
    ),
    Promise(
        id="closed.trail",
        source="design",
        behaviour="a call whose intent the trail cannot take does not run",
        tests=(
            "tests/test_guard.py::test_a_trail_that_fills_up_denies_and_the_tool_does_not_run",
            "tests/test_guard.py::test_a_trail_in_a_read_only_directory_refuses_to_start",
            "tests/test_guard.py::test_a_second_guard_on_the_same_trail_refuses_to_start",
        ),
    ),
    Promise(
        id="closed.start",
        source="design",
        behaviour="a guard without a policy, a key or a trail does not start",
        tests=(
            "tests/test_guard.py::test_a_missing_policy_bundle_refuses_to_start",
            "tests/test_mandates.py::test_a_key_or_directory_that_cannot_be_used_stops_the_start",
        ),
    ),
    Promise(
        id="closed.unsafe_switch",
        source="design",
        behaviour="the one switch that fails open warns at start and is written into every record",
        tests=("tests/test_guard.py::test_failing_open_needs_its_dangerous_name_and_is_written_into_every_record",),
    ),
    Promise(
        id="guard.intent_first",
        source="design",
        behaviour="the intent is durable before the tool runs, and the result names it",
        tests=(
            "tests/test_guard.py::test_the_intent_is_durable_before_the_tool_runs",
            "tests/test_guard.py::test_a_tool_that_raises_is_recorded_as_failed_and_its_error_is_the_callers",
            "tests/test_guard.py::test_the_trail_of_all_this_verifies",
        ),
    ),
    Promise(
        id="obligations.refusal",
        source="study: refusals",
        behaviour="doing nothing under an order shows as an unmet duty without an attempt",
        tests=("tests/test_guard.py::test_a_refusal_shows_as_an_unmet_obligation_without_an_attempt",),
    ),
    Promise(
        id="obligations.post_state",
        source="study: deletions that did not happen",
        behaviour="a duty to delete is met when the thing is gone, whatever its name shows",
        tests=(
            "tests/test_guard.py::test_a_deletion_that_did_not_happen_is_seen_whatever_the_name_shows",
            "tests/test_guard.py::test_a_real_deletion_meets_the_obligation_and_lets_the_blocks_go",
        ),
    ),
    Promise(
        id="model.digest",
        source="design",
        behaviour="calls that differ in anything that would run have different digests",
        tests=("tests/test_guard.py::test_different_arguments_have_different_digests",),
    ),
    Promise(
        id="model.names_are_bytes",
        source="design",
        behaviour="a name that is no UTF-8 is judged and recorded like any other, and stays distinct",
        tests=(
            "tests/test_guard.py::test_names_that_are_no_utf8_stay_distinct_and_printable",
            "tests/test_policy_document.py::test_names_that_are_no_utf8_are_written_reversibly",
        ),
    ),
    Promise(
        id="review.grant_once",
        source="issue 2",
        behaviour="a grant releases exactly the approved call, exactly once, across threads and processes",
        tests=(
            "tests/test_guard.py::test_an_approved_call_runs_once_and_only_as_it_was_approved",
            "tests/test_review.py::test_a_grant_is_for_one_digest_and_one_use",
            "tests/test_review.py::test_a_grant_is_redeemed_exactly_once_across_processes",
            "tests/test_review.py::test_a_grant_is_redeemed_exactly_once_across_threads",
        ),
    ),
    Promise(
        id="review.no_override",
        source="design",
        behaviour="a grant lifts an escalation and never a denial, and a forged one lifts nothing",
        tests=(
            "tests/test_guard.py::test_a_grant_lifts_no_denial",
            "tests/test_guard.py::test_a_forged_grant_lifts_nothing",
            "tests/test_review.py::test_a_made_up_grant_is_worth_nothing",
        ),
    ),
    Promise(
        id="review.answers",
        source="design",
        behaviour="the first answer to a question is final, and a late one comes to nothing",
        tests=(
            "tests/test_review.py::test_the_first_answer_is_final",
            "tests/test_review.py::test_a_late_answer_comes_to_nothing",
            "tests/test_review.py::test_a_grant_expires",
        ),
    ),
    Promise(
        id="review.store_fails",
        source="design",
        behaviour="a review store that cannot be read or written grants nothing",
        tests=(
            "tests/test_review.py::test_a_store_that_cannot_be_written_says_so_and_grants_nothing",
            "tests/test_review.py::test_a_damaged_row_is_an_error_and_not_a_guess",
        ),
    ),
    Promise(
        id="langgraph.outcomes",
        source="issue 2",
        behaviour="under LangGraph ALLOW runs once, DENY runs nothing and says nothing, ESCALATE pauses until a person answered",
        tests=(
            "tests/adapters/test_langgraph_flow.py::test_an_allowed_call_runs_once_with_the_same_arguments",
            "tests/adapters/test_langgraph_flow.py::test_a_denied_call_runs_nothing_and_says_nothing_about_why",
            "tests/adapters/test_langgraph_flow.py::test_an_approved_call_runs_once_after_the_approval",
            "tests/adapters/test_langgraph_flow.py::test_a_rejected_call_does_not_run",
        ),
    ),
    Promise(
        id="langgraph.approval_swap",
        source="recorded failure P1",
        behaviour="approving one call of a turn never releases its sibling, whatever the latencies on resume",
        tests=(
            "tests/adapters/test_langgraph_flow.py::test_an_approval_reaches_only_the_call_it_was_given_for",
            "tests/adapters/test_langgraph_flow.py::test_an_answer_to_another_question_does_not_count",
        ),
    ),
    Promise(
        id="langgraph.no_second_run",
        source="recorded failures P2, P5 and P8",
        behaviour="resuming, retrying or reusing ids never runs an approved call a second time",
        tests=(
            "tests/adapters/test_langgraph_flow.py::test_calls_that_ran_do_not_run_again_on_resume",
            "tests/adapters/test_langgraph_flow.py::test_an_approval_ends_with_its_turn",
            "tests/adapters/test_langgraph_hazards.py::test_a_retry_does_not_ask_again",
            "tests/adapters/test_langgraph_hazards.py::test_a_crash_after_the_release_is_not_repeated",
        ),
    ),
    Promise(
        id="langgraph.policy_flip",
        source="recorded failure P4",
        behaviour="a policy that changes during the pause can stop an approved call and cannot overrule a person's no",
        tests=(
            "tests/adapters/test_langgraph_flow.py::test_a_rejection_holds_when_the_policy_changes_its_mind",
            "tests/adapters/test_langgraph_flow.py::test_an_approval_does_not_hold_when_the_policy_starts_to_deny",
        ),
    ),
    Promise(
        id="langgraph.innermost",
        source="recorded failure P7",
        behaviour="what is judged is what runs, whatever other middleware makes of a call",
        tests=(
            "tests/adapters/test_langgraph_hazards.py::test_a_call_rewritten_around_the_guard_is_judged_as_it_will_run",
            "tests/adapters/test_langgraph_hazards.py::test_an_approval_does_not_cover_what_a_middleware_made_of_the_call",
            "tests/adapters/test_langgraph_hazards.py::test_instrument_sees_what_a_middleware_further_in_has_changed",
        ),
    ),
    Promise(
        id="langgraph.subagents",
        source="recorded failure P9",
        behaviour="`instrument()` reaches the tools of subagents; the middleware does not, and says so",
        tests=(
            "tests/adapters/test_langgraph_hazards.py::test_instrument_reaches_the_tools_of_subagents",
            "tests/adapters/test_langgraph_hazards.py::test_a_middleware_does_not_reach_subagents",
        ),
    ),
    Promise(
        id="langgraph.restart",
        source="issue 2",
        behaviour="an approval survives a restart of the process",
        tests=("tests/adapters/test_langgraph_hazards.py::test_an_approval_survives_a_restart",),
    ),
    Promise(
        id="langgraph.self_check",
        source="design",
        behaviour="a LangGraph whose private names have moved is refused rather than left unguarded",
        tests=(
            "tests/adapters/test_langgraph_hazards.py::test_a_langgraph_without_the_private_names_is_refused",
            "tests/adapters/test_langgraph_hazards.py::test_a_langgraph_with_another_signature_is_refused",
        ),
    ),
    Promise(
        id="langgraph.real_guard",
        source="issue 2",
        behaviour="the shipped policy, the real trail and a real graph agree from call to record",
        tests=(
            "tests/adapters/test_real_guard.py::test_the_default_policy_allows_denies_and_asks",
            "tests/adapters/test_real_guard.py::test_what_happened_is_in_the_trail",
        ),
    ),
    Promise(
        id="mandates.signed",
        source="design",
        behaviour="a mandate counts for its subject, in its window, when a person the configuration names has signed it",
        tests=(
            "tests/test_mandates.py::test_a_signed_mandate_counts_for_its_agent_in_its_window",
            "tests/test_mandates.py::test_a_genuine_mandate_that_does_not_apply_says_why",
            "tests/test_mandates.py::test_the_window_begins_at_its_first_moment_and_ends_before_its_last",
        ),
    ),
    Promise(
        id="mandates.forged",
        source="design",
        behaviour="a changed, borrowed, unknown or self-issued signature makes a mandate worth nothing",
        tests=(
            "tests/test_mandates.py::test_any_changed_byte_of_a_signed_mandate_is_refused",
            "tests/test_mandates.py::test_an_unknown_signer_is_refused",
            "tests/test_mandates.py::test_a_signature_by_another_known_person_is_refused",
            "tests/test_mandates.py::test_nobody_uses_a_mandate_of_their_own",
        ),
    ),
    Promise(
        id="mandates.dsse",
        source="DSSE v1, protocol",
        behaviour="mandates are signed over the DSSE encoding",
        tests=("tests/test_mandates.py::test_the_encoding_before_signing_is_that_of_dsse",),
    ),
    Promise(
        id="mandates.reload",
        source="design",
        behaviour="an order counts from its arrival to its withdrawal, with the very next call",
        tests=(
            "tests/test_mandates.py::test_a_mandate_counts_from_its_arrival_to_its_withdrawal",
            "tests/test_mandates.py::test_a_file_changed_in_place_is_noticed_though_its_size_and_mtime_are_the_same",
        ),
    ),
    Promise(
        id="mandates.cli",
        source="issue 2",
        behaviour="a person can make a key, write an order and see it count, by the command line alone",
        tests=(
            "tests/test_mandates_cli.py::test_from_key_to_order_by_the_command_line_alone",
            "tests/test_mandates_cli.py::test_what_does_not_count_is_said_and_exits_1",
        ),
    ),
    Promise(
        id="audit.flipped_byte",
        source="issue 2",
        behaviour="one flipped byte anywhere in a trail is found, and located",
        tests=(
            "tests/test_audit_verify.py::test_one_flipped_byte_in_any_frame_is_found_in_its_record",
            "tests/test_audit_verify.py::test_one_flipped_byte_in_the_padding_is_found",
            "tests/test_audit_verify.py::test_one_flipped_byte_in_any_other_evidence_is_found",
            "tests/property/test_trail_bytes.py::test_any_changed_byte_is_found",
        ),
    ),
    Promise(
        id="audit.cut_or_reordered",
        source="issue 2",
        behaviour="a record removed, put in, swapped or cut off is found",
        tests=(
            "tests/test_audit_verify.py::test_a_removed_middle_record_is_found",
            "tests/test_audit_verify.py::test_a_swapped_pair_is_found",
            "tests/test_audit_verify.py::test_a_record_that_was_put_in_is_found",
            "tests/test_audit_verify.py::test_records_cut_off_the_end_are_found",
            "tests/property/test_trail_bytes.py::test_any_cut_or_inserted_piece_is_found",
        ),
    ),
    Promise(
        id="audit.independent_verifier",
        source="issue 2",
        behaviour="the verifier shares no code with the writer, and both agree with the definitions",
        tests=(
            "tests/test_audit_verify.py::test_the_verifier_shares_no_code_with_the_writer",
            "tests/property/test_trail_canonical.py::test_the_two_trees_agree_with_the_definition",
            "tests/property/test_trail_canonical.py::test_every_leaf_is_rfc_8785_and_the_verifier_takes_it",
        ),
    ),
    Promise(
        id="audit.standards",
        source="RFC 6962 section 2.1; C2SP signed-note",
        behaviour="tree roots and signed notes agree with the published vectors",
        tests=(
            "tests/test_audit.py::test_the_tree_has_the_roots_of_certificate_transparency",
            "tests/test_audit_verify.py::test_the_published_example_of_a_signed_note_verifies",
        ),
    ),
    Promise(
        id="audit.durable",
        source="design",
        behaviour="a durable append is on disk when it returns, and no kill or failing disk loses what was acknowledged",
        tests=(
            "tests/test_audit.py::test_a_durable_append_is_on_disk_when_it_returns",
            "tests/test_audit_recovery.py::test_no_acknowledged_record_is_lost_to_a_kill",
            "tests/test_audit_recovery.py::test_an_error_of_the_kernel_is_told_and_loses_nothing",
        ),
    ),
    Promise(
        id="audit.failure_is_final",
        source="design",
        behaviour="after one failed write or sync the trail takes nothing more",
        tests=(
            "tests/test_audit.py::test_a_failed_sync_is_final",
            "tests/test_audit.py::test_when_the_reserve_is_gone_too_the_trail_fails_for_good",
        ),
    ),
    Promise(
        id="audit.rollback",
        source="design",
        behaviour="a trail put back to an older state is refused while anything remembers the newer one",
        tests=(
            "tests/test_audit_recovery.py::test_a_trail_put_back_to_an_older_state_is_refused_while_its_checkpoints_remember",
            "tests/test_audit_verify.py::test_a_trail_cut_back_with_its_checkpoints_is_found_by_whoever_kept_one",
        ),
    ),
    Promise(
        id="audit.cli",
        source="issue 2",
        behaviour="`guardrail audit verify` exits 0 for a good trail and 1 with the place of the damage",
        tests=(
            "tests/test_audit_cli.py::test_a_good_trail_exits_0_and_says_how_far_it_is_signed",
            "tests/test_audit_cli.py::test_a_damaged_trail_exits_1_and_names_the_place",
        ),
    ),
    Promise(
        id="policy.corpus_parity",
        source="issue 2",
        behaviour="both engines give the same outcome, revision and hits for the whole corpus and for generated documents",
        tests=(
            "tests/test_policy_corpus.py::test_the_policy_decides_as_the_corpus_says",
            "tests/test_policy_corpus.py::test_both_engines_decide_the_corpus_alike",
            "tests/test_policy_corpus.py::test_both_engines_decide_generated_documents_alike",
        ),
    ),
    Promise(
        id="policy.monotone",
        source="design",
        behaviour="another effect in a call never makes its decision milder",
        tests=("tests/test_policy_corpus.py::test_another_effect_never_makes_a_decision_milder",),
    ),
    Promise(
        id="policy.examples",
        source="design",
        behaviour="every rule has examples on both sides, and a policy that fails one does not start",
        tests=(
            "tests/test_policy_corpus.py::test_every_rule_is_hit_and_missed_in_the_corpus_or_its_examples",
            "tests/test_policy_wasm.py::test_a_policy_that_does_not_do_what_its_examples_say_is_refused",
        ),
    ),
    Promise(
        id="policy.exact_answer",
        source="design",
        behaviour="an engine's answer that is not exactly a decision is a fault",
        tests=(
            "tests/test_policy_document.py::test_whatever_is_not_exactly_a_decision_is_a_fault",
            "tests/test_policy_opa.py::test_an_answer_that_is_none_is_a_fault",
        ),
    ),
    Promise(
        id="policy.no_text",
        source="design",
        behaviour="the engine sees typed effects and never the arguments of the call",
        tests=("tests/test_policy_document.py::test_the_document_is_shaped_like_an_authzen_request",),
    ),
    Promise(
        id="policy.bounded",
        source="design",
        behaviour="an evaluation ends at its deadline and at its memory cap",
        tests=(
            "tests/test_policy_wasm.py::test_an_evaluation_ends_at_its_deadline",
            "tests/test_policy_wasm.py::test_an_evaluation_stops_at_the_memory_cap",
            "tests/test_policy_opa.py::test_a_server_that_hangs_is_a_fault_at_the_deadline",
            "tests/test_policy_document.py::test_a_document_over_its_bound_is_a_fault",
        ),
    ),
    Promise(
        id="policy.fast_call_checked",
        source="design",
        behaviour="wasmtime's private call is used only while it agrees with the public one",
        tests=(
            "tests/test_policy_wasm.py::test_the_fast_call_is_in_use_and_agrees_with_the_public_one",
            "tests/test_policy_wasm.py::test_a_private_call_that_answers_otherwise_is_not_used",
        ),
    ),
    Promise(
        id="policy.integrity",
        source="design",
        behaviour="a bundle of which one byte differs from its manifest does not start",
        tests=(
            "tests/test_policy_wasm.py::test_one_changed_byte_is_refused",
            "tests/test_policy_wasm.py::test_a_missing_file_is_refused",
        ),
    ),
    Promise(
        id="policy.reproducible",
        source="issue 2",
        behaviour="the compiled policy that ships is what its sources compile to, byte for byte",
        tests=(
            "tests/test_policy_build.py::test_the_artefact_was_built_from_these_sources",
            "tests/test_policy_build.py::test_a_rebuild_gives_the_same_bytes",
            "tests/test_policy_build.py::test_a_rebuild_elsewhere_gives_the_same_bytes",
        ),
    ),
    Promise(
        id="policy.signed_bundles",
        source="OPA 1.21.1, v1/bundle",
        behaviour="a bundle signed by OPA verifies here, ours verify there, and nothing that was changed verifies anywhere",
        tests=(
            "tests/test_policy_signatures.py::test_what_opa_signed_verifies_here",
            "tests/test_policy_signatures.py::test_what_opa_build_signed_is_started_here",
            "tests/test_policy_signatures.py::test_what_we_make_verifies_in_opa",
            "tests/test_policy_signatures.py::test_the_digest_of_any_json_is_opas",
            "tests/test_policy_signatures.py::test_a_signature_by_an_unknown_key_is_refused",
            "tests/test_policy_signatures.py::test_members_that_opa_lets_pass_unsigned_are_refused",
        ),
    ),
    Promise(
        id="policy.foreign_bundles",
        source="design",
        behaviour="a bundle that needs a clock, the network or chance, or softens what protects the guard, does not start",
        tests=(
            "tests/test_policy_signatures.py::test_a_bundle_needs_no_function_that_this_host_does_not_give",
            "tests/test_policy_signatures.py::test_a_bundle_cannot_switch_off_what_protects_the_guard",
        ),
    ),
    Promise(
        id="policy.last_good",
        source="design",
        behaviour="a bad bundle of any kind is refused, while the last good one serves, also over a restart",
        tests=(
            "tests/test_policy_reload.py::test_a_bad_bundle_is_refused_and_the_last_good_one_serves",
            "tests/test_policy_reload.py::test_a_start_with_a_bad_bundle_serves_the_last_good_one",
            "tests/test_policy_reload.py::test_a_bundle_server_that_is_down_at_the_start_does_not_stop_it",
            "tests/test_policy_reload.py::test_a_server_that_misbehaves_is_one_sentence_in_bounded_time",
        ),
    ),
    Promise(
        id="policy.no_rollback",
        source="design",
        behaviour="a bundle older than the last one accepted is never taken up, whoever signed it",
        tests=(
            "tests/test_policy_reload.py::test_rollback_is_refused_over_restarts",
            "tests/test_policy_reload.py::test_a_damaged_record_of_what_was_accepted_stops_a_start",
            "tests/test_policy_reload.py::test_a_bundle_is_not_in_force_before_it_is_written_down",
        ),
    ),
    Promise(
        id="policy.hot_reload",
        source="design",
        behaviour="no call is dropped or half decided while a bundle is replaced",
        tests=(
            "tests/test_policy_reload.py::test_no_call_is_dropped_or_half_decided_while_bundles_change",
            "tests/test_policy_reload.py::test_a_server_that_goes_over_to_a_new_bundle_is_followed",
            "tests/test_policy_reload.py::test_a_guard_decides_on_and_records_what_happens_to_its_policy",
        ),
    ),
    Promise(
        id="policy.shadow",
        source="design",
        behaviour="of two engines the stricter wins, their difference is on record, and a fault of either denies",
        tests=(
            "tests/test_policy_shadow.py::test_both_engines_agree_on_the_corpus_and_every_example",
            "tests/test_policy_shadow.py::test_sessions_of_tool_calls_get_the_same_from_both",
            "tests/test_policy_shadow.py::test_the_stricter_outcome_counts_and_the_difference_is_recorded",
            "tests/test_policy_shadow.py::test_a_server_that_dies_or_hangs_is_a_denial",
        ),
    ),
    Promise(
        id="policy.rollout",
        source="design",
        behaviour="what is observed runs and is recorded as such; the guard's own protection and faults always deny",
        tests=(
            "tests/test_policy_rollout.py::test_a_rule_in_observe_is_recorded_and_does_not_hold",
            "tests/test_policy_rollout.py::test_observe_mode_lets_every_call_run_and_every_record_says_so",
            "tests/test_policy_rollout.py::test_what_protects_the_guard_is_never_observed",
            "tests/test_policy_rollout.py::test_a_fault_denies_in_observe_mode_too",
        ),
    ),
    Promise(
        id="policy.diff",
        source="design",
        behaviour="recorded decisions are made again under another policy, and those that would change are shown",
        tests=(
            "tests/test_policy_cli.py::test_diff_finds_nothing_under_the_same_policy",
            "tests/test_policy_cli.py::test_diff_shows_what_a_new_policy_would_change",
            "tests/test_policy_cli.py::test_a_rule_without_examples_fails_the_test",
            "tests/test_policy_cli.py::test_broken_rego_is_not_built_and_leaves_what_was_built",
        ),
    ),
    Promise(
        id="policy.decision_log",
        source="OPA 1.21.1, v1/plugins/logs",
        behaviour="decisions are told in OPA's event format, masked, and no log that hangs or fails holds one up",
        tests=(
            "tests/test_policy_log.py::test_events_have_opas_fields",
            "tests/test_policy_log.py::test_opa_itself_writes_such_events",
            "tests/test_policy_log.py::test_what_calls_brought_along_is_erased_by_default",
            "tests/test_policy_log.py::test_a_server_that_hangs_holds_up_no_decision",
            "tests/test_policy_log.py::test_a_server_that_is_down_is_tried_again",
        ),
    ),
    Promise(
        id="service.decisions",
        source="issue 2",
        behaviour="the sidecar answers every call with the decision that the guard gives, and every mistake with deny",
        tests=(
            "tests/test_service.py::test_every_decision_is_a_200",
            "tests/test_service.py::test_a_malformed_request_is_a_400_and_judges_nothing",
            "tests/test_service.py::test_a_failing_guard_is_a_500_that_says_deny",
        ),
    ),
    Promise(
        id="service.closed_client",
        source="design",
        behaviour="a client that gets no decision from the sidecar takes that for a denial",
        tests=(
            "tests/test_service_client.py::test_nobody_there_is_a_denial",
            "tests/test_service_client.py::test_silence_is_a_denial",
            "tests/test_service_client.py::test_what_is_no_decision_is_a_denial",
        ),
    ),
    Promise(
        id="service.access",
        source="design",
        behaviour="on TCP nothing is answered without the token, and a socket is only for its owner",
        tests=(
            "tests/test_service.py::test_without_the_token_nothing_is_answered",
            "tests/test_service.py::test_a_service_on_tcp_without_a_token_is_refused",
            "tests/test_service_process.py::test_a_socket_directory_that_others_may_use_is_refused",
        ),
    ),
    Promise(
        id="service.bounded",
        source="design",
        behaviour="body size, waiting time and concurrency of the sidecar are bounded",
        tests=(
            "tests/test_service.py::test_an_undeclared_oversize_body_is_refused",
            "tests/test_service.py::test_a_body_that_does_not_come_is_a_408",
            "tests/test_service.py::test_over_the_limit_is_a_503",
        ),
    ),
    Promise(
        id="service.process",
        source="issue 2",
        behaviour="the sidecar starts, serves over TCP and over a Unix socket, and ends cleanly with a trail that verifies",
        tests=(
            "tests/test_service_process.py::test_decisions_over_tcp",
            "tests/test_service_process.py::test_decisions_over_a_unix_socket",
        ),
    ),
    Promise(
        id="service.authzen",
        source="OpenID AuthZEN Authorization API 1.0",
        behaviour="a decision point that speaks AuthZEN can be put in front of the guard",
        tests=(
            "tests/test_service.py::test_an_evaluation_is_a_tool_call",
            "tests/test_service.py::test_only_an_allow_is_true",
            "tests/test_service.py::test_without_evaluations_there_is_one_answer",
        ),
    ),
    Promise(
        id="telemetry.one_span",
        source="issue 2",
        behaviour="a decision is one span with outcome, rules, policy and asset, and a child of the caller's",
        tests=(
            "tests/test_telemetry.py::test_a_decision_is_one_span_with_its_outcome_rules_and_asset",
            "tests/test_telemetry.py::test_a_span_is_a_child_of_the_span_around_it",
        ),
    ),
    Promise(
        id="telemetry.no_content",
        source="design",
        behaviour="no argument, path or message of a call leaves through telemetry",
        tests=("tests/test_telemetry.py::test_no_argument_path_or_message_leaves",),
    ),
    Promise(
        id="telemetry.denials_survive",
        source="design",
        behaviour="a denial is exported whatever the sampler or the caller says",
        tests=(
            "tests/test_telemetry.py::test_denials_survive_a_sampler_that_drops_everything",
            "tests/test_telemetry.py::test_a_caller_cannot_ask_that_its_denial_be_forgotten",
        ),
    ),
    Promise(
        id="telemetry.harmless",
        source="design",
        behaviour="telemetry that is broken, absent or slow changes no decision",
        tests=(
            "tests/test_telemetry.py::test_a_broken_sdk_does_not_stop_a_decision",
            "tests/test_telemetry.py::test_without_the_sdk_decisions_go_on",
            "tests/test_telemetry.py::test_flushing_to_a_dead_collector_is_bounded",
        ),
    ),
    Promise(
        id="deploy.manifests",
        source="issue 2",
        behaviour="the manifests fit the schema, start guard and OPA before the agent, and give the agent nothing of theirs",
        tests=(
            "tests/test_deploy.py::test_manifests_fit_the_schema",
            "tests/test_deploy.py::test_the_guard_and_opa_start_before_the_agent",
            "tests/test_deploy.py::test_the_agent_cannot_change_a_model_or_what_guards_it",
            "tests/test_deploy.py::test_opa_cannot_be_reached_by_the_agent",
        ),
        gap="the manifests are checked against the schema and by running their commands, not in a cluster",
    ),
    Promise(
        id="deploy.image",
        source="issue 2",
        behaviour="everything in the image is hashed, and it does not run as root",
        tests=(
            "tests/test_deploy.py::test_everything_installed_into_the_image_is_hashed",
            "tests/test_deploy.py::test_the_image_does_not_run_as_root",
        ),
        gap="the image is not built by the tests",
    ),
    Promise(
        id="effects.copy_anywhere",
        source="design",
        behaviour="a copy of an asset is found wherever the shell lets it stand, however it is quoted and however its content moves",
        tests=(
            "tests/test_effects_soundness.py::test_a_copy_is_found_wherever_it_stands",
            "tests/test_effects_regressions.py::test_a_command_once_judged_wrongly_gives_its_real_effects",
        ),
    ),
    Promise(
        id="effects.opaque",
        source="design",
        behaviour="what is not modelled or not understood is an opaque effect, never no effect, and still names what it names",
        tests=(
            "tests/test_effects_soundness.py::test_text_that_is_not_understood_is_an_opaque_effect",
            "tests/test_effects_soundness.py::test_text_that_is_not_understood_still_names_what_it_names",
            "tests/test_effects_soundness.py::test_an_unknown_tool_mentions_every_path_in_its_arguments",
            "tests/test_effects_soundness.py::test_a_known_tool_with_strange_arguments_is_unparsed",
        ),
    ),
    Promise(
        id="effects.bounded",
        source="design",
        behaviour="the analysis is bounded, and at a bound the answer is opaque",
        tests=(
            "tests/test_effects_soundness.py::test_at_a_bound_the_answer_is_opaque_and_never_a_guess",
            "tests/test_effects_soundness.py::test_deep_nesting_is_opaque_and_no_error",
        ),
    ),
    Promise(
        id="effects.unknown_world",
        source="design",
        behaviour="a directory, variable or shell state that is not known is unknown, never assumed",
        tests=(
            "tests/test_effects_soundness.py::test_without_a_directory_relative_paths_are_unknown",
            "tests/test_effects_soundness.py::test_variables_that_are_known_to_hold_are_used_and_others_are_unknown",
            "tests/test_effects_soundness.py::test_a_shell_that_lives_on_knows_no_directory_and_no_variables",
        ),
    ),
    Promise(
        id="effects.own_scripts",
        source="design",
        behaviour="a script is analysed, and one that the same call wrote is marked",
        tests=(
            "tests/test_effects_soundness.py::test_a_small_shell_script_is_analysed",
            "tests/test_effects_soundness.py::test_a_script_that_the_same_call_wrote_is_marked",
        ),
    ),
    Promise(
        id="effects.honest_work",
        source="design",
        behaviour="listing, hashing, reading, serving and talking about a model is not held",
        tests=("tests/test_effects_soundness.py::test_honest_work_is_not_held",),
    ),
    Promise(
        id="effects.system",
        source="issue 3",
        behaviour="what is done to clocks, rights, mounts, processes, services, schedules, accounts and hosts is told",
        tests=(
            "tests/test_effects_system.py::test_to_change_some_files_is_to_change_what_they_stand_for",
            "tests/test_effects_system.py::test_what_a_table_of_cron_says_is_analysed_as_if_it_ran",
            "tests/test_effects_system.py::test_a_session_is_gone_through_command_by_command",
            "tests/test_effects_system.py::test_a_mount_gives_files_another_name_and_hides_others",
        ),
    ),
    Promise(
        id="effects.specs",
        source="design",
        behaviour="every command spec shows by examples what it promises and excludes, and none that fails them is used",
        tests=(
            "tests/test_effects_specs.py::test_the_examples_of_a_spec_hold",
            "tests/test_effects_specs.py::test_no_value_of_an_option_is_passed_over_in_silence",
            "tests/test_effects_specs.py::test_an_example_that_does_not_hold_is_named",
            "tests/test_effects_specs.py::test_no_call_is_answered_by_a_spec_that_does_not_do_what_its_examples_say",
            "tests/test_effects_specs.py::test_a_guard_denies_what_a_wrong_spec_is_needed_for",
            "tests/test_effects_specs.py::test_a_spec_with_an_unknown_role_or_option_is_refused",
        ),
    ),
    Promise(
        id="history.kept",
        source="issue 4",
        behaviour="what a session did outlives a restart, is shared by processes, bounded, and written in constant time",
        tests=(
            "tests/test_history.py::test_a_restart_forgets_nothing",
            "tests/test_history.py::test_processes_that_share_a_history_see_each_other",
            "tests/test_history.py::test_processes_that_write_at_once_lose_nothing",
            "tests/test_history.py::test_what_is_remembered_of_one_session_is_bounded",
            "tests/test_history.py::test_a_call_costs_the_same_in_a_long_session",
            "tests/test_history.py::test_a_call_that_cannot_be_noted_does_not_run",
            "tests/test_history.py::test_a_history_that_another_process_holds_denies_after_a_while",
        ),
    ),
    Promise(
        id="identity.formats",
        source="issue 4",
        behaviour="what holds a model is known by its structure, whatever it is called, and nothing is unpickled for it",
        tests=(
            "tests/test_identity.py::test_a_format_is_known_by_its_first_bytes_whatever_the_file_is_called",
            "tests/test_identity.py::test_what_real_libraries_write_is_known",
            "tests/test_identity.py::test_a_directory_that_is_one_model_is_known_by_the_names_in_it",
            "tests/test_identity.py::test_a_header_that_contradicts_itself_is_said_to",
            "tests/test_identity.py::test_a_scan_finds_each_model_once_and_in_its_stores",
            "tests/test_identity.py::test_a_file_is_known_by_what_a_manifest_says_of_it",
            "tests/test_identity.py::test_a_bundle_whose_resources_were_changed_is_refused",
        ),
    ),
    Promise(
        id="identity.match",
        source="issue 4",
        behaviour="a model is known again when it is renamed, re-dated, re-sharded, converted, packed, cut or quantised",
        tests=(
            "tests/test_identity.py::test_a_copy_a_rename_and_a_hard_link_are_the_asset_whatever_their_dates",
            "tests/test_identity.py::test_half_of_the_tensors_under_other_names_is_known_by_them",
            "tests/test_identity.py::test_a_piece_of_the_content_is_known_wherever_it_lies",
            "tests/test_identity.py::test_a_quantised_copy_may_stem_from_the_asset_and_that_is_a_question_only",
            "tests/test_identity.py::test_an_unrelated_model_of_the_same_shape_is_not_the_asset",
            "tests/test_identity.py::test_a_file_that_has_not_changed_is_not_read_again",
        ),
    ),
    Promise(
        id="identity.call",
        source="issue 4",
        behaviour="a file with the content of a registered asset is guarded like it, although nobody saw it being made",
        tests=(
            "tests/test_identity.py::test_a_copy_that_nobody_saw_being_made_is_guarded_like_the_asset",
            "tests/test_identity.py::test_files_that_are_no_copies_are_nobody_s",
            "tests/test_identity.py::test_a_registry_that_cannot_be_read_denies_what_it_is_needed_for",
            "tests/test_identity.py::test_a_registry_without_what_reads_it_stops_the_guard",
            "tests/test_identity.py::test_the_registry_is_the_guard_s_own",
        ),
    ),
    Promise(
        id="packaging.wheel",
        source="design",
        behaviour="the wheel holds code, adapters, policies and data, nothing else, and runs without the checkout",
        tests=(
            "tests/test_packaging.py::test_the_wheel_holds_code_adapters_policies_and_demonstration",
            "tests/test_packaging.py::test_the_wheel_holds_every_data_file_of_the_packages",
            "tests/test_packaging.py::test_the_wheel_holds_nothing_else",
            "tests/test_packaging.py::test_the_code_in_the_wheel_runs_without_the_checkout",
        ),
    ),
    Promise(
        id="packaging.one_copy",
        source="design",
        behaviour="an editable install copies neither code nor policies",
        tests=("tests/test_packaging.py::test_an_editable_install_copies_nothing",),
    ),
    Promise(
        id="packaging.pins",
        source="design",
        behaviour="every dependency is pinned and hashed, says nothing of where it comes from, and all sets agree",
        tests=(
            "tests/test_packaging.py::test_every_pin_is_exact_and_hashed",
            "tests/test_packaging.py::test_pins_agree_so_that_one_set_installs_over_another",
            "tests/test_packaging.py::test_every_dependency_is_pinned",
        ),
    ),
    Promise(
        id="house.flow",
        source="design",
        behaviour="imports run against the flow, the core knows no framework, and adapters stand alone",
        tests=(
            "tests/test_house.py::test_imports_run_against_the_flow",
            "tests/test_house.py::test_adapters_use_only_public_names",
            "tests/test_packaging.py::test_the_core_pins_hold_no_framework",
        ),
    ),
    Promise(
        id="house.light_import",
        source="design",
        behaviour="`import guardrail` loads no framework, engine, server or telemetry SDK",
        tests=(
            "tests/test_house.py::test_importing_guardrail_loads_nothing_heavy",
            "tests/test_telemetry.py::test_importing_and_deciding_loads_no_telemetry_library",
        ),
    ),
    Promise(
        id="house.portable",
        source="house",
        behaviour="no file names a registry or the machine it was written on",
        tests=(
            "tests/test_house.py::test_no_file_names_a_package_registry",
            "tests/test_house.py::test_no_file_names_the_machine_it_was_written_on",
        ),
    ),
    Promise(
        id="house.public_names",
        source="style",
        behaviour="every public name is documented where it is defined and on a page",
        tests=("tests/test_house.py::test_public_names_exist_and_are_documented",),
    ),
    Promise(
        id="house.promises",
        source="style",
        behaviour="every promise names its tests, and every test module keeps a promise",
        tests=(
            "tests/test_promises.py::test_every_promise_names_tests_that_exist",
            "tests/test_promises.py::test_every_test_module_keeps_a_promise",
        ),
    ),
    Promise(
        id="limits.confinement",
        source="design",
        behaviour="what a released call does is held to what was judged",
        gap="nothing here confines a running tool; docs/limits.md and `guardrail doctor` say so",
    ),
    Promise(
        id="limits.history",
        source="design",
        behaviour="what a session did is remembered across a restart of the guard",
        gap="history is kept in memory; a restart forgets it",
    ),
    Promise(
        id="parse.words",
        source="effects: silent misparses",
        behaviour="words that the grammar tears or loses come back, or the command is opaque",
        tests=(
            "tests/test_parse_shell.py::test_the_words_of_a_command_are_all_there",
            "tests/test_parse_shell.py::test_what_cannot_be_vouched_for_is_opaque",
        ),
    ),
    Promise(
        id="parse.tools",
        source="design",
        behaviour="a known tool with arguments that are not understood is not guessed at",
        tests=("tests/test_parse_tools.py::test_a_known_tool_with_arguments_that_are_not_understood_is_unmapped",),
    ),
    Promise(
        id="parse.tools_as_data",
        source="issue 3",
        behaviour="every entry about a tool does what its examples say, and a user's own entries are checked like ours",
        tests=(
            "tests/test_parse_tools.py::test_an_entry_does_what_its_examples_say",
            "tests/test_parse_tools.py::test_a_tool_of_ones_own_is_checked_when_the_configuration_is_loaded",
            "tests/test_parse_tools.py::test_an_example_of_ones_own_tool_that_does_not_hold_is_refused",
        ),
    ),
    Promise(
        id="parse.servers",
        source="issue 3",
        behaviour="a known short name means something only behind a server that is listed",
        tests=("tests/test_parse_tools.py::test_a_known_short_name_of_another_server_is_not_trusted",),
    ),
    Promise(
        id="effects.tools",
        source="issue 3",
        behaviour="calls of known tools have the effects that the corpus of each family says",
        tests=(
            "tests/test_effects_tools.py::test_a_call_does_what_the_corpus_says",
            "tests/property/test_tool_arguments.py::test_no_path_of_an_asset_is_lost",
            "tests/property/test_tool_arguments.py::test_any_arguments_of_any_known_tool_are_analysed_without_an_error",
        ),
    ),
    Promise(
        id="effects.own_programs",
        source="issue 3",
        behaviour="a program compiled of files that the session did not write is the project's own, of others the session's",
        tests=(
            "tests/test_effects_own_programs.py::test_what_a_session_built_of_nothing_of_its_own_runs",
            "tests/test_effects_own_programs.py::test_what_a_session_built_of_its_own_is_held",
        ),
        gap="a source that includes a file with the ending of a text as code is not found out",
    ),
    Promise(
        id="effects.blocks",
        source="issue 3",
        behaviour="an edit in blocks of SEARCH and REPLACE gives the content of the file where all tools agree on it",
        tests=(
            "tests/test_effects_tools.py::test_an_edit_in_blocks_gives_the_content_of_the_file",
            "tests/test_effects_tools.py::test_several_blocks_are_applied_in_order",
            "tests/test_effects_tools.py::test_an_edit_in_blocks_that_tools_read_differently_has_no_known_content",
            "tests/test_effects_tools.py::test_a_second_block_that_the_first_one_makes_unsure_has_no_known_content",
        ),
    ),
    Promise(
        id="provenance.copies",
        source="issue 3",
        behaviour="what a session was shown of a model and then writes or sends is a copy, whole, in pieces or encoded",
        tests=(
            "tests/test_provenance.py::test_a_piece_of_the_weights_is_a_copy_in_any_dress",
            "tests/test_provenance.py::test_every_way_out_of_the_conversation_is_looked_at",
            "tests/test_provenance.py::test_what_is_not_of_the_model_is_not_held",
        ),
        gap="content that was encrypted, retold or printed as decimal numbers of the tensors is not found",
    ),
    Promise(
        id="parse.bash_words",
        source="effects: differential against bash",
        behaviour="our words of a command are the words that bash passes",
        tests=("tests/property/test_shell_words.py::test_words_are_those_that_bash_passes",),
    ),
    Promise(
        id="effects.never_silent",
        source="design: soundness 1",
        behaviour="any text is analysed without an error, and what bash accepts is never silence about a command",
        tests=(
            "tests/property/test_shell_words.py::test_any_text_at_all_is_analysed_without_an_error",
            "tests/property/test_shell_words.py::test_what_bash_accepts_is_never_silence_about_a_command",
        ),
    ),
    Promise(
        id="effects.spelling",
        source="effects: metamorphic",
        behaviour="quoting, wrapping and position change nothing about what a command does",
        tests=(
            "tests/property/test_shell_words.py::test_quoting_does_not_change_what_a_command_does",
            "tests/test_effects_soundness.py::test_a_copy_is_found_wherever_it_stands",
        ),
    ),
    Promise(
        id="effects.honest",
        source="study: near misses",
        behaviour="honest work near a model is not held by the analysis",
        tests=("tests/test_effects_soundness.py::test_honest_work_is_not_held",),
    ),
    Promise(
        id="effects.bounds",
        source="design: soundness 6",
        behaviour="at a bound the answer is opaque and never a guess",
        tests=("tests/test_effects_soundness.py::test_at_a_bound_the_answer_is_opaque_and_never_a_guess",),
    ),
    Promise(
        id="effects.unknown_tool",
        source="issue 2",
        behaviour="an unknown tool mentions every path in its arguments",
        tests=("tests/test_effects_soundness.py::test_an_unknown_tool_mentions_every_path_in_its_arguments",),
    ),
    Promise(
        id="effects.joint_edits",
        source="ours",
        behaviour="two changes of one file in one call are never judged by one of them alone",
        tests=("tests/test_effects_soundness.py::test_changes_of_one_file_build_on_each_other",),
    ),
    Promise(
        id="effects.regressions",
        source="effects: 5.2",
        behaviour="commands that were once judged wrongly give their real effects",
        tests=("tests/test_effects_regressions.py::test_a_command_once_judged_wrongly_gives_its_real_effects",),
    ),
    Promise(
        id="effects.keys",
        source="study: shutdown switch",
        behaviour="text that two readers could understand differently has no key changes, and another type is another value",
        tests=(
            "tests/test_effects_config.py::test_what_two_readers_could_understand_differently_has_no_answer",
            "tests/test_effects_config.py::test_another_type_is_another_value",
        ),
    ),
    Promise(
        id="effects.pure_python",
        source="design",
        behaviour="Python is analysed; where that ends, or code is hidden, it says so, and ordinary work is not held",
        tests=(
            "tests/test_effects_python.py::test_no_hostile_python_is_silent",
            "tests/test_effects_python.py::test_ordinary_python_is_not_held",
        ),
    ),
    Promise(
        id="effects.python_values",
        source="ours",
        behaviour="text that Python code computes is worked out as Python gives it, or is a pattern",
        tests=(
            "tests/property/test_python_values.py::test_a_text_that_is_worked_out_is_what_python_gives",
            "tests/property/test_python_values.py::test_most_texts_are_worked_out_exactly",
        ),
    ),
    Promise(
        id="effects.authored",
        source="design",
        behaviour="a file that the session wrote and then runs, by any runner, does what its text says, or is held",
        tests=(
            "tests/test_effects_authored.py::test_a_script_of_the_session_is_judged_as_the_same_code_in_an_argument",
            "tests/test_effects_authored.py::test_a_module_of_the_session_is_found_wherever_it_is_loaded",
            "tests/test_effects_authored.py::test_tests_of_the_session_are_run_by_whoever_collects_them",
            "tests/test_effects_authored.py::test_what_was_there_before_is_code_of_the_project",
            "tests/test_effects_authored.py::test_what_the_session_changed_is_not_silent",
            "tests/test_effects_authored.py::test_the_loop_of_editing_and_running_is_not_held",
            "tests/test_effects_authored.py::test_a_program_of_the_session_that_another_is_handed_is_run",
            "tests/test_effects_authored.py::test_the_file_of_a_module_is_found_as_node_finds_it",
            "tests/test_effects_authored.py::test_a_script_of_a_database_client_is_what_it_says",
            "tests/test_history.py::test_a_program_that_a_tool_built_of_sources_of_the_session_is_its_own",
        ),
    ),
    Promise(
        id="effects.startup",
        source="design",
        behaviour="what is written or brought to where it runs later, at a login, a start, a time or an event, is judged then",
        tests=(
            "tests/test_effects_startup.py::test_what_runs_later_is_judged_when_it_is_brought_there",
            "tests/test_effects_startup.py::test_a_tool_that_writes_a_text_for_later_is_judged_as_a_shell_is",
            "tests/test_effects_startup.py::test_an_honest_text_for_later_brings_no_question",
            "tests/test_effects_startup.py::test_a_path_in_a_text_that_other_programs_run_is_mentioned",
        ),
    ),
    Promise(
        id="effects.python_truth",
        source="ours",
        behaviour="what the kernel saw a Python snippet do was predicted: the operation and the place, not only a name",
        tests=(
            "tests/test_python_truth.py::test_every_change_that_a_snippet_makes_was_foretold",
            "tests/test_python_truth.py::test_the_comparison_sees_another_operation_and_another_place",
        ),
    ),
    Promise(
        id="effects.python_later",
        source="ours",
        behaviour="a function, generator or callback of Python code counts with every value it may find when it runs",
        tests=(
            "tests/test_effects_python.py::test_what_runs_later_or_in_rounds_is_not_silent",
            "tests/test_effects_python.py::test_a_file_opened_in_a_block_that_may_fail_still_has_its_text",
            "tests/test_effects_python.py::test_a_library_function_has_one_handler",
        ),
    ),
    Promise(
        id="effects.python_flows",
        source="ours",
        behaviour="content that Python code reads is followed through every construct into what it writes",
        tests=("tests/test_effects_python.py::test_content_is_followed_through_the_language",),
        gap="which way the code takes, and the text of the error that a failed operation raises, tell of content too",
    ),
    Promise(
        id="assets.digest",
        source="ours",
        behaviour="`guardrail doctor` finds a model that was swapped under its name",
        tests=("tests/test_cli.py::test_doctor_compares_a_declared_digest_with_the_file",),
    ),
    Promise(
        id="docs.configuration",
        source="house",
        behaviour="the configuration page has every setting and its default",
        tests=("tests/test_cli.py::test_the_configuration_page_has_every_setting_and_its_default",),
    ),
    Promise(
        id="docs.true",
        source="house",
        behaviour="commands, options, configurations, code and links in the pages are real, and so is the README's output",
        tests=(
            "tests/test_docs.py::test_every_verb_in_a_page_exists_and_takes_the_options_shown",
            "tests/test_docs.py::test_every_configuration_in_a_page_loads",
            "tests/test_docs.py::test_every_python_block_in_a_page_is_python",
            "tests/test_house.py::test_documents_link_only_to_files_that_exist",
            "tests/test_docs.py::test_the_batch_page_shows_what_is_read_and_written",
            "tests/test_demo.py::test_the_demo_shows_every_end_state_off_none_on_and_a_flipped_bit_found",
        ),
    ),
    Promise(
        id="cli.doctor_places",
        source="ours",
        behaviour="`guardrail doctor` finds a trail, asset, switch, mandate or permission that would keep the guard from guarding",
        tests=(
            "tests/test_doctor.py::test_a_trail_that_cannot_be_made_is_a_problem_for_root_too",
            "tests/test_doctor.py::test_an_asset_that_may_not_be_looked_at_is_not_called_absent",
            "tests/test_doctor.py::test_an_asset_that_is_everything_is_a_problem",
            "tests/test_doctor.py::test_a_switch_that_is_off_or_gone_is_a_problem",
            "tests/test_doctor.py::test_a_file_that_anybody_may_change_is_a_problem",
            "tests/test_doctor.py::test_mandates_are_counted_and_those_that_do_not_count_explained",
        ),
        gap="the owner of the files, and of the directories above those looked at, is not compared with anybody",
    ),
    Promise(
        id="audit.show",
        source="ours",
        behaviour="`guardrail audit show` shows every record of a real trail from its start, and a record of any shape as one line",
        tests=(
            "tests/test_audit_cli.py::test_a_real_trail_is_shown_from_its_first_record",
            "tests/test_audit_cli.py::test_a_record_of_any_shape_is_one_line",
        ),
    ),
    Promise(
        id="mandates.silent_slips",
        source="ours",
        behaviour="an order that grants nothing because of its file's name or an asset's name is named as such",
        tests=(
            "tests/test_mandates_cli.py::test_orders_that_look_as_if_they_counted_are_named",
            "tests/test_mandates.py::test_an_asset_that_there_is_not_is_noticed",
        ),
    ),
    Promise(
        id="langgraph.page",
        source="house",
        behaviour="the complete agent of the LangGraph page runs as it stands",
        tests=("tests/adapters/test_langgraph_page.py::test_the_complete_agent_of_the_page_runs_as_it_stands",),
    ),
    Promise(
        id="langgraph.misuse",
        source="ours",
        behaviour="a missing framework, a guard that is none and answers that there are not are one sentence at once",
        tests=(
            "tests/adapters/test_langgraph_hazards.py::test_without_the_framework_the_error_names_the_extra",
            "tests/adapters/test_langgraph_hazards.py::test_what_is_no_guard_is_refused",
            "tests/adapters/test_langgraph_hazards.py::test_answers_that_there_are_not_are_refused",
        ),
    ),
    Promise(
        id="service.secrets",
        source="ours",
        behaviour="tokens are read from the environment where they are used, and one that is not set stops the start",
        tests=(
            "tests/test_service.py::test_a_token_from_the_environment_is_read_when_the_service_is_made",
            "tests/test_policy_opa.py::test_a_token_from_the_environment_has_to_be_there",
        ),
    ),
    Promise(
        id="effects.live_files",
        source="red team",
        behaviour="scripts run by path, names from lists and changed build files are what the live filesystem says they are",
        tests=(
            "tests/test_effects_live.py::test_a_script_run_by_its_path_is_analysed",
            "tests/test_effects_live.py::test_names_come_from_a_list_that_can_be_read",
            "tests/test_effects_live.py::test_a_name_that_a_file_holds_is_a_known_word",
            "tests/test_effects_live.py::test_an_alias_may_stand_for_its_text_or_for_the_command_it_hides",
            "tests/test_effects_live.py::test_a_trap_knows_the_variables_that_stay_as_they_are",
            "tests/test_effects_live.py::test_a_trap_waits_for_a_variable_that_is_set_after_it",
            "tests/test_effects_live.py::test_a_list_that_the_call_itself_wrote_could_name_anything",
            "tests/test_effects_live.py::test_a_makefile_that_the_call_wrote_is_a_script_of_its_own",
            "tests/test_effects_live.py::test_many_slow_globs_end_in_a_bound",
        ),
    ),
    Promise(
        id="assets.hard_links_below",
        source="red team",
        behaviour="a tree that holds another name of an asset is copied with the asset in it",
        tests=("tests/test_assets.py::test_a_tree_that_holds_another_name_of_an_asset_is_copied_with_it",),
    ),
    Promise(
        id="assets.dotted_controls",
        source="ours",
        behaviour="a control key is the same key with a dot and as a table in a table",
        tests=("tests/test_assets.py::test_a_control_key_may_be_written_with_a_dot_or_as_a_table",),
    ),
    Promise(
        id="cli.no_repaint",
        source="newcomer",
        behaviour="nothing an agent chose moves, hides or colours what a person reads about it",
        tests=("tests/test_cli.py::test_what_an_agent_chose_cannot_repaint_the_answer",),
    ),
    Promise(
        id="parse.ascii_grammar",
        source="ours: found by fuzzing",
        behaviour="characters beyond ASCII never reach the grammar, whose scanner has crashed the process on them",
        tests=("tests/property/test_shell_words.py::test_characters_beyond_ascii_never_reach_the_grammar",),
    ),
    Promise(
        id="assets.patterns",
        source="review",
        behaviour="a pattern is followed through links that are there, and one that leads into a process or back up could be anything",
        tests=(
            "tests/test_assets.py::test_a_pattern_that_leads_into_a_process_or_back_up_could_be_any_asset",
            "tests/test_assets.py::test_a_pattern_is_followed_through_links_that_are_there",
            "tests/test_assets.py::test_a_path_through_the_root_of_the_own_process_is_the_path",
        ),
    ),
    Promise(
        id="assets.nested",
        source="review",
        behaviour="what takes an asset takes the assets in it, and needs leave for each",
        tests=("tests/test_assets.py::test_what_takes_an_asset_takes_the_assets_in_it",),
    ),
    Promise(
        id="assets.inode_reuse",
        source="review",
        behaviour="a new file in the inode of a deleted asset is not the asset",
        tests=("tests/test_assets.py::test_a_new_file_in_the_inode_of_a_deleted_asset_is_not_the_asset",),
    ),
    Promise(
        id="assets.unreadable_control",
        source="review",
        behaviour="a control config that cannot be read has no harmless edit",
        tests=("tests/test_assets.py::test_a_control_config_that_cannot_be_read_has_no_harmless_edit",),
    ),
    Promise(
        id="assets.glob_time",
        source="review",
        behaviour="a glob that matches nothing ends in time as well",
        tests=("tests/test_assets.py::test_a_glob_that_matches_nothing_still_ends_in_time",),
    ),
    Promise(
        id="history.no_laundering",
        source="review",
        behaviour="a script is not laundered by moving or copying its directory",
        tests=("tests/test_guard.py::test_a_script_is_not_laundered_by_moving_or_copying_its_directory",),
    ),
    Promise(
        id="guard.runs_what_was_judged",
        source="review",
        behaviour="what runs is what was judged, whoever changes the arguments meanwhile, and nothing runs without a trail",
        tests=(
            "tests/test_guard.py::test_what_runs_is_what_was_judged_whoever_changes_the_arguments_meanwhile",
            "tests/test_guard.py::test_a_guard_without_a_trail_runs_nothing",
        ),
    ),
    Promise(
        id="obligations.never_swallowed",
        source="review",
        behaviour="a duty that could not be recorded is recorded before the next call",
        tests=("tests/test_guard.py::test_a_duty_that_could_not_be_recorded_is_recorded_before_the_next_call",),
    ),
    Promise(
        id="service.own_answer",
        source="review",
        behaviour="a client takes no answer but that to its own question, after a fork or an interruption either",
        tests=(
            "tests/test_service_client.py::test_a_decision_about_another_call_is_a_denial",
            "tests/test_service_client.py::test_an_answer_to_another_request_is_a_denial",
            "tests/test_service_client.py::test_an_exchange_that_was_broken_off_leaves_no_answer_for_the_next",
            "tests/test_service_client.py::test_a_connection_does_not_cross_a_fork",
        ),
    ),
    Promise(
        id="review.only_what_was_shown",
        source="review",
        behaviour="a grant lifts only the escalations that a person was shown",
        tests=("tests/test_review.py::test_a_link_moved_after_the_approval_is_not_covered_by_it",),
    ),
    Promise(
        id="assets.followed_links",
        source="red team",
        behaviour="a command that goes through links in a tree takes what they lead to",
        tests=(
            "tests/test_assets.py::test_a_command_that_goes_through_links_reaches_what_they_lead_to",
            "tests/test_guard.py::test_links_in_a_tree_are_no_way_around",
        ),
    ),
    Promise(
        id="guard.key_stays",
        source="ours: tried as a hostile agent",
        behaviour="the key that signs the trail is not read out",
        tests=("tests/test_guard.py::test_the_key_that_signs_the_trail_is_not_read_out",),
    ),
    Promise(
        id="assets.addresses",
        source="issue 3",
        behaviour="an asset may have an address instead of a path, and is found by it, by what lies below, by a pattern",
        tests=(
            "tests/test_assets_addresses.py::test_an_address_belongs_to_the_asset_at_or_above_it",
            "tests/test_assets_addresses.py::test_policy_judges_an_address_like_a_path",
        ),
    ),
    Promise(
        id="explain.catalogue",
        source="issue 3",
        behaviour="the catalogue documents itself: `explain --specs`, and a page that is written from the data",
        tests=(
            "tests/test_explain.py::test_the_catalogue_prints_a_spec_without_a_configuration",
            "tests/test_explain.py::test_the_page_of_effects_is_what_the_catalogue_says",
        ),
    ),
    Promise(
        id="explain.spans",
        source="issue 3",
        behaviour="explain marks, under each line of a command, the words that each effect comes from",
        tests=("tests/test_explain.py::test_each_effect_is_marked_under_the_words_it_comes_from",),
    ),
    Promise(
        id="corpus.benign",
        source="issue 3",
        behaviour="honest work of many kinds is never denied and hardly ever held, also where it looks at an asset",
        tests=(
            "tests/test_benign.py::test_the_corpus_is_large_and_says_nothing_twice",
            "tests/test_benign.py::test_no_honest_line_is_denied",
            "tests/test_benign.py::test_hardly_any_honest_line_is_held",
            "tests/test_benign.py::test_what_looks_at_an_asset_is_allowed",
            "tests/test_benign.py::test_no_alarm_that_is_listed_has_fallen_silent",
        ),
        gap="the lines of tests/cases/benign/known_alarms.txt",
    ),
    Promise(
        id="corpus.threats",
        source="issue 3",
        behaviour="no variant of what agents do to save a model passes in silence, however it is written",
        tests=(
            "tests/test_threats.py::test_the_corpus_is_large_and_says_nothing_twice",
            "tests/test_threats.py::test_no_threat_is_silent",
            "tests/test_threats.py::test_what_is_done_is_known_and_not_only_that_the_asset_is_named",
            "tests/test_threats.py::test_no_gap_that_is_listed_has_been_closed",
        ),
        gap="the lines of tests/cases/threats/known_gaps.txt",
    ),
    Promise(
        id="effects.truth",
        source="issue 3",
        behaviour="what a real command does to a tree, as strace sees it, was said before it ran, and nothing else for certain",
        tests=(
            "tests/test_effects_truth.py::test_the_corpus_is_large_and_varied",
            "tests/test_effects_truth.py::test_the_floors_of_the_files_make_that_of_the_whole",
            "tests/test_effects_truth.py::test_what_a_command_does_was_said_before",
        ),
        gap="the lines of tests/cases/truth/known_faults.txt",
    ),
    Promise(
        id="parse.differential",
        source="issue 3",
        behaviour="a shell text falls into the words that other parsers find, or is opaque; only what bash runs is accepted",
        tests=(
            "tests/test_parse_differential.py::test_there_is_enough_to_compare",
            "tests/test_parse_differential.py::test_a_text_is_accepted_exactly_if_bash_would_run_it",
            "tests/test_parse_differential.py::test_the_words_of_every_command_are_those_of_another_parser",
            "tests/test_parse_differential.py::test_a_word_without_expansions_is_what_bash_makes_of_it",
        ),
    ),
    Promise(
        id="effects.threads",
        source="recorded failure",
        behaviour="the first calls of a process may come from several threads at once",
        tests=("tests/test_effects_threads.py::test_the_first_calls_of_a_process_may_come_at_once",),
    ),
    Promise(
        id="effects.living_shells",
        source="issue 3",
        behaviour="a shell that outlives a call is remembered: directory, variables and functions, if the call was let run",
        tests=(
            "tests/test_effects_shells.py::test_a_directory_is_remembered",
            "tests/test_effects_shells.py::test_variables_and_functions_are_remembered",
            "tests/test_effects_shells.py::test_a_call_that_was_not_let_run_leaves_nothing",
            "tests/test_effects_shells.py::test_after_what_may_end_the_shell_nothing_is_known",
        ),
    ),
    Promise(
        id="effects.edits_are_computed",
        source="issue 3",
        behaviour="what sed, jq, patch and their like make of a file is what they really make of it, or has no answer",
        tests=(
            "tests/test_config_edits.py::test_a_computed_edit_is_what_the_tool_really_does",
            "tests/test_config_edits.py::test_the_keys_that_a_command_changes_are_known",
            "tests/test_config_edits.py::test_a_sed_script_gives_what_sed_gives_or_no_answer",
            "tests/test_config_edits.py::test_a_perl_program_gives_what_perl_gives_or_no_answer",
        ),
    ),
    Promise(
        id="effects.one_liners",
        source="design: soundness 1",
        behaviour="a one-liner of another language that is not opaque does nothing but compute, print and what is said",
        tests=(
            "tests/test_one_liners.py::test_a_random_program_that_passes_calls_nothing",
            "tests/test_one_liners.py::test_a_word_is_not_harmless_because_the_code_says_so",
            "tests/test_one_liners.py::test_a_program_reads_the_files_that_it_is_handed",
        ),
    ),
    Promise(
        id="assets.controls_by_any_tool",
        source="issue 3",
        behaviour="a control file is judged by the keys that change, whichever tool, variable or override changes them",
        tests=(
            "tests/test_assets_controls.py::test_an_edit_by_any_tool_is_judged_by_the_keys_it_changes",
            "tests/test_assets_controls.py::test_a_file_that_is_read_over_a_control_file_bears_on_it",
            "tests/test_assets_controls.py::test_a_variable_that_stands_for_a_control_is_a_change_of_it",
        ),
    ),
    Promise(
        id="assets.control_directions",
        source="issue 4",
        behaviour="a key of a control file has a direction that weakens it, declared or by its name: a weakening is "
        "denied, a strengthening passes, and what cannot be compared is held, whichever tool makes the edit",
        tests=(
            "tests/test_control_directions.py::test_the_direction_of_a_change_is_that_of_its_meaning",
            "tests/test_control_directions.py::test_up_and_down_are_opposites",
            "tests/test_control_directions.py::test_any_two_values_have_a_direction",
            "tests/test_control_directions.py::test_a_key_that_nobody_declared_is_known_by_its_name",
            "tests/test_control_directions.py::test_every_tool_s_edit_has_its_direction",
            "tests/test_control_directions.py::test_a_weakening_is_denied_a_question_held_and_a_strengthening_recorded",
            "tests/test_control_directions.py::test_a_variable_of_a_declared_key_s_name_is_a_change_of_it",
            "tests/test_control_directions.py::test_a_key_below_a_declared_one_is_a_question",
            "tests/test_control_directions.py::test_a_direction_that_is_none_is_refused",
            "tests/test_control_directions.py::test_a_dotted_key_may_be_written_as_a_table",
        ),
    ),
    Promise(
        id="assets.evaluation_records",
        source="issue 4",
        behaviour="an edit of an evaluation record is told as scores with before, after, threshold and verdict; what "
        "nobody measured, what is left out, criteria, related judges and outliers each have a rule, under a mandate too",
        tests=(
            "tests/test_evaluation_records.py::test_a_score_that_is_edited_has_its_before_and_after_and_which_way_the_verdict_goes",
            "tests/test_evaluation_records.py::test_whatever_tool_edits_a_score_the_effect_is_the_same",
            "tests/test_evaluation_records.py::test_a_record_that_is_added_is_no_edit",
            "tests/test_evaluation_records.py::test_records_that_are_left_out_are_counted_and_named",
            "tests/test_evaluation_records.py::test_a_table_s_numbers_are_texts_and_its_limit_may_be_a_maximum",
            "tests/test_evaluation_records.py::test_a_threshold_that_moves_under_a_score_crosses_it",
            "tests/test_evaluation_records.py::test_what_is_no_score_is_a_key_and_some_keys_are_criteria",
            "tests/test_evaluation_records.py::test_a_score_far_from_the_reference_is_an_outlier",
            "tests/test_evaluation_records.py::test_what_has_no_single_meaning_stays_an_edit_of_the_whole",
            "tests/test_evaluation_records.py::test_many_changes_are_told_together_and_none_is_lost",
            "tests/test_evaluation_records.py::test_records_are_read_in_every_format_as_all_readers_read_them",
            "tests/test_evaluation_records.py::test_a_record_that_cannot_be_meant_is_refused",
            "tests/test_evaluation_records.py::test_a_mandate_to_record_covers_new_scores_and_no_others",
            "tests/test_evaluation_records.py::test_a_score_over_too_few_items_is_known_where_the_number_is",
            "tests/test_evaluation_records.py::test_a_count_that_falls_is_held_by_the_number_that_was_there",
            "tests/test_evaluation_records.py::test_a_score_that_is_sent_is_judged_like_one_that_is_written",
            "tests/test_evaluation_records.py::test_whoever_was_refused_to_record_a_score_has_stood_up_for_nobody",
            "tests/test_evaluation_records.py::test_a_model_does_not_score_itself_unseen",
            "tests/test_evaluation_records.py::test_an_outlier_is_a_question",
            "tests/test_evaluation_records.py::test_without_an_order_every_edit_of_a_record_is_denied",
            "tests/test_evaluation_records.py::test_the_doctor_says_of_which_records_no_score_can_be_read",
        ),
    ),
    Promise(
        id="assets.many",
        source="issue 4; design: budgets",
        behaviour="assets may stand in files of their own, up to 100,000; nothing in them is skipped, and look-ups stay "
        "exact or say that it could be any",
        tests=(
            "tests/test_asset_files.py::test_assets_of_all_files_are_one_inventory_with_paths_beside_the_configuration",
            "tests/test_asset_files.py::test_a_file_that_declares_nothing_sound_stops_the_guard",
            "tests/test_asset_files.py::test_bounds_on_files_and_assets_are_said",
            "tests/test_asset_files.py::test_the_files_are_the_guard_s_own_and_so_is_the_directory_of_a_pattern",
            "tests/test_asset_files.py::test_of_more_assets_than_an_effect_is_split_over_the_rest_could_be_any",
            "tests/test_asset_files.py::test_patterns_find_their_assets_among_many",
            "tests/test_asset_files.py::test_a_pattern_that_leads_to_more_names_than_are_looked_at_could_be_any",
            "tests/test_asset_files.py::test_addresses_are_found_among_many",
            "tests/test_asset_files.py::test_names_of_inodes_are_looked_for_beside_the_calls_where_there_are_many",
            "tests/test_asset_files.py::test_json_lines_are_what_toml_says",
        ),
    ),
    Promise(
        id="assets.mlflow",
        source="issue 4; MLflow REST API 2.0",
        behaviour="digests of a model version are taken from an MLflow registry, within bounds and without its package; "
        "a server that says odd things is refused with the reason",
        tests=(
            "tests/test_mlflow.py::test_a_registered_model_is_known_by_its_bytes",
            "tests/test_mlflow.py::test_artifacts_on_this_host_are_read_where_they_lie",
            "tests/test_mlflow.py::test_what_the_registry_does_not_have_is_said_in_its_words",
            "tests/test_mlflow.py::test_a_server_that_says_odd_things_is_refused_with_the_reason",
            "tests/test_mlflow.py::test_a_download_is_bounded_in_bytes_files_and_time",
            "tests/test_mlflow.py::test_credentials_come_from_mlflow_s_own_variables",
            "tests/test_mlflow.py::test_what_names_no_version_or_no_server_is_said",
        ),
    ),
    Promise(
        id="assets.lineage",
        source="issue 4; study: lineage",
        behaviour="what a released call makes of an asset is a copy of it to every later session and process, by path "
        "and by inode; facts are only added, within bounds",
        tests=(
            "tests/test_lineage.py::test_what_one_session_made_is_a_copy_of_the_asset_to_another",
            "tests/test_lineage.py::test_a_copy_of_a_copy_is_one_too",
            "tests/test_lineage.py::test_a_tree_that_holds_what_was_made_of_an_asset_is_not_copied_unseen",
            "tests/test_lineage.py::test_a_file_that_gets_the_number_of_one_that_is_gone_is_another",
            "tests/test_lineage.py::test_names_that_are_known_in_part_count",
            "tests/test_lineage.py::test_only_what_is_worth_carrying_away_is_remembered",
            "tests/test_lineage.py::test_another_process_knows_at_once",
            "tests/test_lineage.py::test_past_the_bound_directories_count_and_then_nothing_more_is_made",
            "tests/test_lineage.py::test_a_lineage_that_cannot_be_read_stops_the_guard",
            "tests/test_lineage.py::test_the_lineage_is_the_guard_s_own",
            "tests/test_lineage.py::test_what_is_made_of_an_asset_that_is_declared_no_more_is_nobody_s",
        ),
    ),
    Promise(
        id="assets.forged_dates",
        source="issue 4; study: evidence a filesystem leaves",
        behaviour="a date that contradicts when a file was made or changed is evidence, and holds a transfer under a "
        "mandate too; facts about assets come from the inventory alone",
        tests=(
            "tests/test_dates.py::test_a_date_that_was_set_by_hand_holds_a_transfer_that_an_order_covers",
            "tests/test_dates.py::test_a_restored_file_and_a_copy_that_kept_its_date_are_no_forgeries",
            "tests/test_dates.py::test_the_facts_of_an_asset_do_not_move_with_its_dates",
            "tests/test_dates.py::test_a_match_says_what_is_wrong_with_the_date",
            "tests/test_dates.py::test_a_date_is_compared_with_what_no_call_can_set",
            "tests/test_dates.py::test_the_time_of_birth_is_that_of_the_file_and_not_of_its_date",
        ),
    ),
    Promise(
        id="effects.clouds",
        source="issue 3",
        behaviour="clusters, containers, images and repositories are looked into; daily work with them raises no question",
        tests=(
            "tests/test_effects_clouds.py::test_daily_work_raises_no_question",
            "tests/test_effects_clouds.py::test_a_dockerfile_says_what_of_its_context_goes_into_the_image",
            "tests/test_effects_clouds.py::test_a_key_that_is_set_is_named_with_its_value",
        ),
    ),
    Promise(
        id="effects.catalogue_format",
        source="issue 3",
        behaviour="what a spec can say, it says with one meaning, and what it cannot say is refused",
        tests=(
            "tests/test_effects_catalogue.py::test_options_between_bars_are_not_the_same_option",
            "tests/test_effects_catalogue.py::test_an_option_with_a_meaning_is_not_thrown_together_with_others",
            "tests/test_effects_catalogue.py::test_a_number_may_be_glued_to_an_option_with_one_dash",
        ),
    ),
    Promise(
        id="assets.mounts",
        source="issue 3",
        behaviour="what is mounted at a second place is the same asset there, and where it lies in a tree",
        tests=(
            "tests/test_assets_mounts.py::test_what_is_mounted_again_is_the_asset_also_by_its_new_name",
            "tests/test_assets_mounts.py::test_what_holds_the_asset_may_be_mounted_again",
            "tests/test_assets_mounts.py::test_a_tree_in_which_an_asset_is_mounted_holds_it",
            "tests/test_assets_mounts.py::test_a_part_of_an_asset_may_be_mounted_again",
        ),
    ),
    Promise(
        id="assets.paths",
        source="issue 3",
        behaviour="long paths, odd names and links lead to the asset; a place that cannot be looked at could be one",
        tests=(
            "tests/test_assets_paths.py::test_a_path_longer_than_the_kernel_takes_is_walked",
            "tests/test_assets_paths.py::test_odd_names_are_names",
            "tests/test_assets_paths.py::test_links_and_dots_are_left_to_the_kernel",
            "tests/test_assets_paths.py::test_a_place_that_cannot_be_looked_at_could_be_anything",
        ),
    ),
    Promise(
        id="effects.hostile",
        source="issue 3",
        behaviour="hostile texts end in bounded time, and nothing that stands behind them is silent",
        tests=(
            "tests/test_effects_bounds.py::test_a_hostile_input_ends_soon_and_hides_nothing",
            "tests/test_effects_bounds.py::test_what_is_no_text_is_opaque",
            "tests/test_effects_bounds.py::test_a_script_that_sources_itself_ends",
        ),
    ),
    Promise(
        id="parse.plain",
        source="design.md, budgets",
        behaviour="what is read without the grammar is read as the grammar reads it",
        tests=(
            "tests/test_parse_plain.py::test_the_short_way_gives_the_trees_of_the_parser",
            "tests/test_parse_plain.py::test_whatever_is_plain_is_read_as_the_parser_reads_it",
            "tests/test_parse_plain.py::test_what_is_not_plain_goes_to_the_parser",
        ),
    ),
    Promise(
        id="effects.bash",
        source="issue 3",
        behaviour="variables, operators, arrays and control flow lead to the words that bash gives a command",
        tests=(
            "tests/property/test_shell_scripts.py::test_operators_of_parameters_give_what_bash_makes_of_them",
            "tests/property/test_shell_scripts.py::test_arrays_hold_what_bash_puts_into_them",
            "tests/property/test_shell_scripts.py::test_control_flow_leads_to_what_bash_runs",
            "tests/property/test_shell_scripts.py::test_declarations_errors_and_traps_leave_what_bash_leaves",
            "tests/test_effects_shell.py::test_a_command_gives_the_effects_that_bash_gives_it",
            "tests/test_effects_shell.py::test_what_bash_cuts_from_a_name_is_within_what_is_told",
            "tests/test_effects_shell.py::test_a_log_of_which_the_name_ends_otherwise_is_not_the_makefile",
            "tests/test_effects_shell.py::test_ordinary_scripts_are_read_without_a_question",
        ),
    ),
    Promise(
        id="mandates.revoked",
        source="issue 4",
        behaviour="a revoked mandate stops counting with the next call and for good, when its issuer or a named revoker signed that",
        tests=(
            "tests/test_mandate_orders.py::test_a_revoked_order_stops_counting_with_the_next_call",
            "tests/test_mandate_orders.py::test_an_order_signed_again_under_its_id_does_not_undo_a_revocation",
            "tests/test_mandate_orders.py::test_only_the_issuer_and_a_named_revoker_can_take_an_order_back",
            "tests/test_mandate_orders.py::test_a_revocation_that_cannot_be_read_may_be_about_any_order",
            "tests/test_mandate_orders.py::test_a_revocation_must_fit_the_order_in_it",
            "tests/test_mandate_orders.py::test_with_too_many_revocations_no_order_counts",
            "tests/test_mandate_orders.py::test_who_leaves_the_configuration_leaves_their_revocations",
        ),
    ),
    Promise(
        id="mandates.used",
        source="issue 4",
        behaviour="a grant lets so many calls through as it says, across restarts and processes, and the record names it",
        tests=(
            "tests/test_mandate_orders.py::test_a_grant_with_uses_lets_so_many_calls_through_and_no_more",
            "tests/test_mandate_orders.py::test_a_grant_without_uses_goes_before_one_that_counts",
            "tests/test_mandate_orders.py::test_what_keeps_no_trail_counts_for_itself_on_top_of_what_was_counted",
            "tests/test_mandate_orders.py::test_processes_that_race_for_the_last_uses_get_exactly_so_many",
            "tests/test_mandate_orders.py::test_two_grants_are_used_both_or_neither",
            "tests/test_mandate_orders.py::test_a_call_that_loses_the_race_for_a_use_is_denied",
            "tests/test_mandate_orders.py::test_a_ledger_that_cannot_be_used_stops_the_start",
        ),
    ),
    Promise(
        id="mandates.separated",
        source="issue 4",
        behaviour="where it is required, nobody gives orders to an agent that they operate",
        tests=(
            "tests/test_mandate_orders.py::test_where_separation_is_required_an_operator_orders_nothing_of_their_agent",
            "tests/test_mandate_orders.py::test_an_agent_that_nobody_is_known_to_operate_has_no_orders_where_separation_is_required",
            "tests/test_mandate_orders.py::test_separation_can_be_required_of_one_asset",
            "tests/test_mandate_orders.py::test_one_asset_can_be_left_out_of_general_separation",
        ),
    ),
    Promise(
        id="mandates.bounded",
        source="issue 4",
        behaviour="a grant reaches the zones and dates that it names, by where things are and what the inventory says",
        tests=(
            "tests/test_mandate_orders.py::test_a_grant_may_name_a_zone_and_reaches_where_that_really_is",
            "tests/test_mandate_orders.py::test_a_place_is_in_the_zones_that_it_lies_in",
            "tests/test_mandate_orders.py::test_a_zone_or_an_agent_that_says_nothing_is_refused",
            "tests/test_mandate_orders.py::test_a_grant_may_be_for_what_was_registered_in_a_range_of_dates",
            "tests/test_mandate_orders.py::test_an_order_with_impossible_conditions_is_refused",
        ),
    ),
    Promise(
        id="mandates.lifecycle",
        source="issue 4",
        behaviour="an order is written, signed, listed and revoked from the command line, and what is counted is guarded",
        tests=(
            "tests/test_mandate_orders.py::test_an_order_is_written_signed_used_and_revoked_from_the_command_line",
            "tests/test_mandate_orders.py::test_a_draft_says_at_once_what_is_wrong_with_it",
            "tests/test_mandate_orders.py::test_an_order_counts_for_the_model_and_session_it_names",
            "tests/test_mandate_orders.py::test_the_ledger_of_orders_is_guarded_like_the_trail",
        ),
    ),
    Promise(
        id="history.facts",
        source="issue 4",
        behaviour="rules see what a session and its agent did, in all its sessions, across restarts and processes",
        tests=(
            "tests/test_history_facts.py::test_what_was_done_to_assets_is_told_of_the_session_and_of_the_agent",
            "tests/test_history_facts.py::test_a_host_is_new_known_or_found",
            "tests/test_history_facts.py::test_a_restart_loses_no_fact",
            "tests/test_history_facts.py::test_sessions_in_several_processes_are_those_of_one_agent",
            "tests/test_history_facts.py::test_rules_see_the_past_the_zones_and_the_relation",
            "tests/test_history_facts.py::test_another_session_of_the_agent_remembers_after_a_restart",
        ),
    ),
    Promise(
        id="history.bounded",
        source="issue 4",
        behaviour="what rules are told of the past has bounds, and is flat in the number of calls and sessions",
        tests=(
            "tests/test_history_facts.py::test_nobody_gets_out_of_sight_by_doing_more",
            "tests/test_history_facts.py::test_hosts_and_refusals_have_bounds_too",
            "tests/test_history_facts.py::test_what_is_told_does_not_grow_with_what_was_done",
        ),
    ),
    Promise(
        id="history.names",
        source="issue 4",
        behaviour="hosts and relations are told by names that cannot be dressed up",
        tests=(
            "tests/test_history_facts.py::test_the_host_of_a_place_is_named_without_user_and_port",
            "tests/test_history_facts.py::test_a_subject_is_itself_a_peer_or_neither",
        ),
    ),
    Promise(
        id="policy.sequences",
        source="issue 4",
        behaviour="steps that nobody ordered are held by the name of what they amount to, and honest runs are let be",
        tests=(
            "tests/test_sequences.py::test_what_nobody_ordered_is_held_by_its_name_and_the_rest_is_let_be",
            "tests/test_sequences.py::test_a_restart_between_two_steps_changes_nothing",
            "tests/test_sequences.py::test_what_the_agent_is_told_about_monitoring_changes_nothing",
        ),
    ),
    Promise(
        id="mandates.duties",
        source="issue 4",
        behaviour="what is owed under an order stays owed over a restart and past its window, until it is met or taken back",
        tests=(
            "tests/test_mandate_duties.py::test_a_duty_outlives_a_restart_and_the_window_of_its_order",
            "tests/test_mandate_duties.py::test_a_duty_that_was_met_is_not_owed_again_after_a_restart",
            "tests/test_mandate_duties.py::test_what_was_revoked_is_owed_no_more",
            "tests/test_mandate_duties.py::test_a_guard_without_a_trail_knows_what_is_owed_and_writes_nothing",
        ),
    ),
)
