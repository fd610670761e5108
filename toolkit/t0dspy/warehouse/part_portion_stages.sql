-- The stage inferences of the runs of one portion, with all columns.
SELECT * FROM (/* part_stage_rows.sql */)
WHERE episode_id IN (
    SELECT toUUIDOrZero(run) FROM (/* part_model_runs.sql */)
    WHERE NOT cached AND inference_id IN (SELECT id FROM (/* part_portion_members.sql */))
)
