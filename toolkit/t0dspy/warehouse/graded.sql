-- Inferences of the program one of whose stages, or whose stages' episode, was given feedback within the window.
SELECT inference_id FROM (/* model_runs.sql */)
WHERE NOT cached
    AND toUUIDOrZero(run) IN (
        SELECT episode_id FROM (/* stage_rows.sql */)
        WHERE id IN (/* heard.sql */) OR episode_id IN (/* heard.sql */)
    )
