-- Inferences of the program that are in the window and pass the filters, each with why it is left out, if it is.
-- In the window is what was asked there, and what was heard of there: its newest feedback before `until` counts, which
-- is in the window exactly when any is. Feedback is on the inference, on its episode, or on a stage of its run.
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
    ) AS found,
    if(has({include:Array(String)}, found), '', found) AS left_out
FROM {table:Identifier}
WHERE function_name = {function:String}
    AND toUInt128(id) < {until:UInt128}
    AND (
        toUInt128(id) >= {since:UInt128}
        OR id IN (/* heard.sql */) OR episode_id IN (/* heard.sql */) -- if late
        OR id IN (/* graded.sql */) -- if graded
    )
    AND has({versions:Array(String)}, variant_name) -- if versions
    AND arrayAll((k, v) -> mapContains(tags, k) AND tags[k] = v, {tag_keys:Array(String)}, {tag_values:Array(String)}) -- if tag_keys
    AND id IN (/* matching.sql */) -- if metric_names
