-- One inference: its function, variant and episode, its type, the model's answer, and the output schema.
SELECT function_name, variant_name, toString(episode_id) AS episode, 'json' AS type, output, output_schema
FROM JsonInference
WHERE (function_name, variant_name, episode_id) IN (
    SELECT function_name, variant_name, episode_id FROM InferenceById WHERE id_uint = toUInt128({id:UUID})
) AND id = {id:UUID}
UNION ALL
SELECT function_name, variant_name, toString(episode_id) AS episode, 'chat' AS type, output, '' AS output_schema
FROM ChatInference
WHERE (function_name, variant_name, episode_id) IN (
    SELECT function_name, variant_name, episode_id FROM InferenceById WHERE id_uint = toUInt128({id:UUID})
) AND id = {id:UUID}
