-- The stages of the runs of one portion, oldest first.
SELECT
    toString(id) AS inference, toString(episode_id) AS episode, variant_name, input, output, tags,
    toString(snapshot_hash) AS snapshot, function_name
FROM (/* part_portion_stages.sql */)
ORDER BY toUInt128(id)
