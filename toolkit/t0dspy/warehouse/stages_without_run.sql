-- Stages in the window without an inference of the program: their run failed, or they were called directly.
SELECT count() AS number FROM (/* part_stage_rows.sql */)
WHERE toUInt128(id) >= {since:UInt128} AND toUInt128(id) < {until:UInt128}
    AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
    AND (empty({versions:Array(String)}) OR has({versions:Array(String)}, extract(variant_name, '^v[0-9]+')))
    AND episode_id NOT IN (
        SELECT toUUIDOrZero(run) FROM (/* part_model_runs.sql */) WHERE toUInt128(inference_id) >= {margin:UInt128}
    )
