-- The program's inferences whose latest metric values equal the requested values.
SELECT id FROM (
    SELECT t.id AS id, f.metric_name AS name, argMax(f.number, f.given) AS latest
    FROM (
        SELECT target_id, metric_name, toFloat32(value) AS number, toUInt128(id) AS given FROM BooleanMetricFeedback
        WHERE metric_name IN {metric_names:Array(String)} AND toUInt128(id) < {until:UInt128}
            AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
        UNION ALL
        SELECT target_id, metric_name, value AS number, toUInt128(id) AS given FROM FloatMetricFeedback
        WHERE metric_name IN {metric_names:Array(String)} AND toUInt128(id) < {until:UInt128} AND isFinite(value)
            AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
    ) AS f
    INNER JOIN (
        SELECT id, arrayJoin([id, episode_id]) AS target FROM {table:Identifier} WHERE function_name = {function:String}
    ) AS t ON f.target_id = t.target
    GROUP BY id, name
)
WHERE has(arrayZip({metric_names:Array(String)}, {metric_values:Array(Float32)}), (name, latest))
GROUP BY id
HAVING count() = length({metric_names:Array(String)})
