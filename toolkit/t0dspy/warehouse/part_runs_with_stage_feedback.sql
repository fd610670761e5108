-- The program's inferences for which people gave feedback on a stage, or on the stages' episode, within the window.
SELECT inference_id FROM (/* part_model_runs.sql */)
WHERE NOT cached
    AND toUUIDOrZero(run) IN (
        SELECT episode_id FROM (/* part_stage_rows.sql */)
        WHERE id IN (/* part_feedback_targets.sql */) OR episode_id IN (/* part_feedback_targets.sql */)
    )
