-- The program's inferences that a model answered, each with the id of its completion. The program server's completion
-- id is the episode of the stages. A streamed answer is stored as its chunks, so the first id in the text counts.
SELECT
    inference_id, cached,
    extract(substring(raw_response, 1, 200), '"id": ?"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"') AS run
FROM ModelInference
WHERE function_name = {function:String}
