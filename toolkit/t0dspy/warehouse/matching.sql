-- Inferences of the program whose latest values of the metrics asked for are the values asked for.
SELECT id FROM (
    SELECT t.id AS id, f.metric_name AS name, argMax(f.number, f.at) AS latest
    FROM (
        SELECT target_id, metric_name, toFloat32(value) AS number, toUInt128(id) AS at FROM BooleanMetricFeedback
        WHERE metric_name IN {metric_names:Array(String)} AND toUInt128(id) < {until:UInt128}
            AND NOT mapContains(tags, 't0dspy::test') -- if no_tests
        UNION ALL
        SELECT target_id, metric_name, value AS number, toUInt128(id) AS at FROM FloatMetricFeedback
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
