-- The inferences of one portion that the program server answered: the episode of the stages, and whether it was cached.
SELECT toString(inference_id) AS id, run, cached FROM (/* part_model_runs.sql */)
WHERE inference_id IN (SELECT id FROM (/* part_portion_members.sql */))
