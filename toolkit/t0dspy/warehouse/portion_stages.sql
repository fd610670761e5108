-- The stage inferences of the runs of one portion, with all columns.
SELECT * FROM (/* stage_rows.sql */)
WHERE episode_id IN (
    SELECT toUUIDOrZero(run) FROM (/* model_runs.sql */)
    WHERE NOT cached AND inference_id IN (SELECT id FROM (/* portion_members.sql */))
)
