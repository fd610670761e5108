-- How often the predictors of each version were called since a time, and how often DSPy asked again for JSON because it
-- could not parse the answer. Only runs can do that, and runs pin their variants. Tests, evaluations and internal calls
-- do not count.
SELECT
    extract(variant_name, '^v[0-9]+') AS version,
    countIf(NOT endsWith(variant_name, '_json')) AS calls,
    countIf(endsWith(variant_name, '_json')) AS repeated
FROM ChatInference
WHERE function_name IN {functions:Array(String)} AND toUInt128(id) >= {since:UInt128}
    AND mapContains(tags, 'tensorzero::variant_pinned')
    AND NOT hasAny(mapKeys(tags), {not_production:Array(String)})
GROUP BY version
SETTINGS max_execution_time = 3
