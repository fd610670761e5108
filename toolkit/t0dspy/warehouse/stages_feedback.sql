-- What was said of the stages of the runs of one portion, on themselves.
WITH targets AS (SELECT id, episode_id FROM (/* run_stages.sql */))
SELECT toString(id) AS inference, said FROM (/* feedback.sql */)
