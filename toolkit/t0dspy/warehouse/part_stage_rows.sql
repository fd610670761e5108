-- The inferences of the program's predictors, from both tables.
SELECT id, function_name, variant_name, episode_id, 'json' AS type, input, output, tags, snapshot_hash FROM JsonInference
WHERE function_name IN {stages:Array(String)}
UNION ALL
SELECT id, function_name, variant_name, episode_id, 'chat' AS type, input, output, tags, snapshot_hash FROM ChatInference
WHERE function_name IN {stages:Array(String)}
