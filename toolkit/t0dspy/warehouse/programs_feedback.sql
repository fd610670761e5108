-- The feedback on the inferences of one portion.
WITH targets AS (
    SELECT id, episode_id FROM {table:Identifier}
    WHERE function_name = {function:String} AND toUInt128(id) BETWEEN {first:UInt128} AND {last:UInt128}
)
SELECT toString(id) AS inference, feedback_json FROM (/* part_feedback.sql */)
WHERE id IN (SELECT id FROM (/* part_portion_members.sql */))
