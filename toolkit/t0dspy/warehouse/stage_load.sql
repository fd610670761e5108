-- Whether people gave feedback on any stage of the program within the window, and the stages' size in bytes.
SELECT
    max(id IN (/* part_feedback_targets.sql */) OR episode_id IN (/* part_feedback_targets.sql */)) AS graded,
    sumIf(length(input) + length(output), toUInt128(id) >= {since:UInt128} AND toUInt128(id) < {until:UInt128}) AS bytes
FROM (/* part_stage_rows.sql */)
