-- The inferences of one portion, oldest first, with their feedback.
WITH targets AS (
    SELECT id, episode_id FROM {table:Identifier}
    WHERE function_name = {function:String} AND toUInt128(id) BETWEEN {first:UInt128} AND {last:UInt128}
)
SELECT
    toString(i.id) AS id, toString(i.episode_id) AS episode, i.variant_name AS variant, i.input AS input,
    i.output AS output, i.tags AS tags, toString(i.snapshot_hash) AS snapshot,
    f.metrics AS metrics, f.demonstration AS demonstration, f.filled AS filled, f.comments AS comments,
    {function:String} AS function
FROM (
    SELECT id, episode_id, variant_name, input, output, tags, snapshot_hash FROM {table:Identifier}
    WHERE function_name = {function:String} AND id IN (SELECT id FROM (/* members.sql */))
) AS i
LEFT JOIN (/* feedback.sql */) AS f ON f.id = i.id
ORDER BY toUInt128(i.id)
