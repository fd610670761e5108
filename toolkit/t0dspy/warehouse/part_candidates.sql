-- The program's inferences that are in the window and pass the filters, each with the reason to leave it out, if any.
-- An inference is in the window if it was made there, or if its newest feedback before `until` was given there. The
-- feedback may be about the inference, its episode, or a stage of its run.
SELECT
    id,
    toUInt128(id) AS id_uint,
    episode_id,
    length(input) + length(output) AS size,
    multiIf(
        mapContains(tags, 'tensorzero::evaluation_run_id')
            OR mapContains(tags, 'tensorzero::workflow_evaluation_run_id')
            OR mapContains(tags, 'tensorzero::dynamic_evaluation_run_id'), 'evaluation',
        mapContains(tags, 'tensorzero::internal'), 'internal',
        mapContains(tags, 't0dspy::test'), 'test',
        mapContains(tags, 'tensorzero::variant_pinned'), 'pinned',
        ''
    ) AS kind,
    if(has({include:Array(String)}, kind), '', kind) AS left_out
FROM {table:Identifier}
WHERE function_name = {function:String}
    AND toUInt128(id) < {until:UInt128}
    AND (
        toUInt128(id) >= {since:UInt128}
        OR id IN (/* part_feedback_targets.sql */) OR episode_id IN (/* part_feedback_targets.sql */) -- if late
        OR id IN (/* part_runs_with_stage_feedback.sql */) -- if graded
    )
    AND has({versions:Array(String)}, extract(variant_name, '^v[0-9]+')) -- if versions
    AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)}) -- if tag_keys
    AND id IN (/* part_metric_matches.sql */) -- if metric_names
