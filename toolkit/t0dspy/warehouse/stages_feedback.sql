-- The feedback on the stages of the runs of one portion.
WITH targets AS (SELECT id, episode_id FROM (/* part_portion_stages.sql */))
SELECT toString(id) AS inference, feedback_json FROM (/* part_feedback.sql */)
