-- The program's inferences in one portion, oldest first.
SELECT
    toString(id) AS inference, toString(episode_id) AS episode, variant_name, input, output, tags,
    toString(snapshot_hash) AS snapshot, function_name
FROM {table:Identifier}
WHERE function_name = {function:String}
    AND toUInt128(id) BETWEEN {first:UInt128} AND {last:UInt128}
    AND id IN (SELECT id FROM (/* part_portion_members.sql */))
ORDER BY toUInt128(id)
