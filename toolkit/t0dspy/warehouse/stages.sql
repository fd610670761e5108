-- The stages of the runs of one portion, oldest first in each run, with their own feedback.
WITH targets AS (
    SELECT id, episode_id FROM (/* stage_rows.sql */)
    WHERE episode_id IN (
        SELECT toUUIDOrZero(run) FROM (/* model_runs.sql */)
        WHERE NOT cached AND inference_id IN (SELECT id FROM (/* members.sql */))
    )
)
SELECT
    toString(i.id) AS id, toString(i.episode_id) AS episode, i.variant_name AS variant, i.input AS input,
    i.output AS output, i.tags AS tags, toString(i.snapshot_hash) AS snapshot,
    f.metrics AS metrics, f.demonstration AS demonstration, f.filled AS filled, f.comments AS comments,
    i.function_name AS function
FROM (
    SELECT id, function_name, variant_name, episode_id, input, output, tags, snapshot_hash FROM (/* stage_rows.sql */)
    WHERE id IN (SELECT id FROM targets)
) AS i
LEFT JOIN (/* feedback.sql */) AS f ON f.id = i.id
ORDER BY toUInt128(i.id)
