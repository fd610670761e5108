-- People's ratings of a program's production inferences since a time: mean and count for each version and metric. Only
-- the latest value for an inference or its episode counts. Pinned calls, tests, evaluations and internal calls are not
-- production.
SELECT variant_name, name, avg(latest) AS mean, count() AS ratings
FROM (
    SELECT t.id AS id, any(t.variant_name) AS variant_name, m.metric_name AS name, argMax(m.number, m.given) AS latest
    FROM (
        SELECT target_id, metric_name, toFloat64(value) AS number, toUInt128(id) AS given FROM BooleanMetricFeedback
        WHERE toUInt128(id) >= {since:UInt128} AND NOT startsWith(metric_name, 'tensorzero::')
        UNION ALL
        SELECT target_id, metric_name, toFloat64(value) AS number, toUInt128(id) AS given FROM FloatMetricFeedback
        WHERE toUInt128(id) >= {since:UInt128} AND NOT startsWith(metric_name, 'tensorzero::') AND isFinite(value)
    ) AS m
    INNER JOIN (
        SELECT id, variant_name, arrayJoin([id, episode_id]) AS target FROM {table:Identifier}
        WHERE function_name = {function:String} AND toUInt128(id) >= {since:UInt128}
            AND NOT hasAny(mapKeys(tags), {not_production:Array(String)})
    ) AS t ON m.target_id = t.target
    GROUP BY id, name
)
GROUP BY variant_name, name
ORDER BY variant_name, name
SETTINGS max_execution_time = 3
