-- The program's inferences that a model answered, with the id of its completion: where the program server answered, the
-- episode of the stages. A streamed answer is stored as its chunks, so the first id in it counts.
SELECT
    inference_id, cached,
    extract(substring(raw_response, 1, 200), '"id": ?"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"') AS run
FROM ModelInference
WHERE function_name = {function:String}
