-- The program's inferences for which people gave feedback on a stage, or on the stages' episode, within the window.
SELECT inference_id FROM (/* model_runs.sql */)
WHERE NOT cached
    AND toUUIDOrZero(run) IN (
        SELECT episode_id FROM (/* stage_rows.sql */)
        WHERE id IN (/* feedback_targets.sql */) OR episode_id IN (/* feedback_targets.sql */)
    )
