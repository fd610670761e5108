-- Whether any stage of the program was given feedback within the window.
SELECT count() > 0 AS graded FROM (/* stage_rows.sql */)
WHERE id IN (/* heard.sql */) OR episode_id IN (/* heard.sql */)
